"""Error rates with bounds that respect that pairs share models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def clopper_pearson(events: int, n: int) -> float:
    """One-sided upper bound of a rate at 95 % (Clopper and Pearson 1934); 0 of 30 gives 0.095."""
    from scipy.stats import beta

    return 1.0 if events >= n else float(beta.ppf(0.95, events + 1, n - events))


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """P(a positive scores higher than a negative) + P(equal)/2 (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    if not positive or not negative:
        return float("nan")
    ranks = rankdata([*positive, *negative])[: len(positive)]
    pairs = len(positive) * len(negative)
    return float((ranks.sum() - len(positive) * (len(positive) + 1) / 2) / pairs)


def threshold(negative: Sequence[float], rate: float = 0.01) -> float:
    """The least of the negatives' scores that at most ``rate`` of them exceed."""
    ordered = np.sort(np.asarray(negative))[::-1]
    return float(ordered[int(rate * len(ordered))])


def above(scores: Sequence[float], limit: float) -> float:
    """The share of scores over a limit."""
    return float(np.mean(np.asarray(scores) > limit)) if len(scores) else float("nan")


def by_models(
    pairs: Sequence[tuple[str, str]],
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    times: int = 2000,
) -> tuple[float, float]:
    """2.5 % and 97.5 % of a statistic of (values, weights) under a bootstrap over models: models are drawn
    with replacement, a pair counts as often as the product of its models' draws."""
    names = sorted({name for pair in pairs for name in pair})
    places = np.array([[names.index(a), names.index(b)] for a, b in pairs])
    random = np.random.default_rng(20261122)
    found = []
    for _ in range(times):
        drawn = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
        weights = drawn[places[:, 0]] * drawn[places[:, 1]]
        if weights.any():
            found.append(statistic(values, weights.astype(np.float64)))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def without_each(pairs: Sequence[tuple[str, str]], values: NDArray[np.float64]) -> tuple[float, float]:
    """Least and greatest mean of ``values`` when the pairs of one model are left out."""
    names = sorted({name for pair in pairs for name in pair})
    means = [values[[name not in pair for pair in pairs]].mean() for name in names]
    return float(min(means)), float(max(means))
