"""Exact tail probabilities in log space: every function returns log10 p, however small p is.

Library tails break far out (a survival function that answers 0.0 or 8e-15 where the truth is 1e-105). Here
hypergeometric and binomial tails are sums of exact terms in log space, and sums of independent small counts
(Poisson-binomial, trinomial) are *tilted*: every term is reweighted by e^(t·value) so that the observed total
becomes the mean (Esscher 1932), the tilted distribution is found by a discrete Fourier transform, and the
tilt is undone in log space. The relative error of p is below 1e-9 for up to a million terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOG10 = math.log(10.0)
_GRID = 4096


def _log_choose(n: int, k: NDArray[Any]) -> NDArray[Any]:
    from scipy.special import gammaln

    chosen: NDArray[Any] = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return chosen


def _sum(logs: NDArray[Any]) -> float:
    """log of the sum of exp(logs)."""
    top = float(np.max(logs))
    return top if math.isinf(top) else top + math.log(math.fsum(np.exp(logs - top)))


def _log10(log_p: float) -> float:
    return min(log_p, 0.0) / LOG10 + 0.0


def binomial_tail(n: int, q: float, m: int) -> float:
    """log10 P(X ≥ m) for X ~ Binomial(n, q)."""
    if m <= 0 or q >= 1.0:
        return 0.0 if m <= n else -math.inf
    if m > n or q <= 0.0:
        return -math.inf
    x = np.arange(m, n + 1, dtype=float)
    return _log10(_sum(_log_choose(n, x) + x * math.log(q) + (n - x) * math.log1p(-q)))


def sign_test(k: int, n: int) -> float:
    """log10 of the exact two-sided p of ``k`` heads in ``n`` throws of a fair coin."""
    return min(0.0, math.log10(2.0) + binomial_tail(n, 0.5, max(k, n - k)))


def hypergeometric_tail(total: int, a: int, b: int, s: int, log_odds: float = 0.0) -> float:
    """log10 P(X ≥ s) for the overlap X of two subsets of sizes a and b of ``total`` things.

    ``log_odds`` = ln θ gives Fisher's noncentral hypergeometric distribution (weights C(a,x)·C(N-a,b-x)·θ^x);
    θ = 1 is the ordinary one. Raises ValueError for margins that do not fit.
    """
    low, high = max(0, a + b - total), min(a, b)
    if not (0 <= a <= total and 0 <= b <= total):
        raise ValueError("margins beyond the total")
    if s <= low:
        return 0.0
    if s > high:
        return -math.inf
    x = np.arange(low, high + 1, dtype=float)
    weights = _log_choose(a, x) + _log_choose(total - a, b - x) + x * log_odds
    return _log10(_sum(weights[s - low :]) - _sum(weights))


def poisson_tail(mean: float, m: int, top: int) -> float:
    """log10 of the sum of Poisson(mean) probabilities from m to ``top`` (both included)."""
    from scipy.special import gammaln

    if m <= 0 and math.isinf(top):
        return 0.0
    if m > top or mean <= 0.0:
        return 0.0 if m <= 0 else -math.inf
    x = np.arange(max(m, 0), top + 1, dtype=float)
    return _log10(_sum(x * math.log(mean) - mean - gammaln(x + 1.0)))


def poisson_binomial_tail(q: Sequence[float] | NDArray[Any], m: int) -> float:
    """log10 P(X ≥ m) for X the number of successes of independent trials, ``q`` [trials] their chances.

    More than 4096 different probabilities are rounded *up* to a fine grid of odds (so p never shrinks).
    """
    chances = np.asarray(q, dtype=float)
    values, counts = np.unique(chances, return_counts=True)
    if len(values) > _GRID:
        values, counts = _rounded_up(chances)
    return lattice_tail(np.stack([1.0 - values, values], axis=1), (0, 1), counts, m)


def _rounded_up(q: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    inside = q[(q > 0.0) & (q < 1.0)]
    odds = np.log(inside) - np.log1p(-inside)
    step = max((odds.max() - odds.min()) / (_GRID - 2), 1e-12) if len(odds) else 1.0
    cells, counts = np.unique(np.ceil(odds / step), return_counts=True)
    values = 1.0 / (1.0 + np.exp(-cells * step))
    sure = int((q >= 1.0).sum())
    return np.append(values, 1.0), np.append(counts, sure)


def lattice_tail(
    probabilities: NDArray[Any], values: Sequence[int], counts: NDArray[Any], threshold: int
) -> float:
    """log10 P(sum ≥ threshold) for independent terms that take small non-negative whole values.

    ``probabilities`` (groups, outcomes) rows sum to 1, ``values`` (outcomes,), ``counts`` (groups,) how many
    terms each group has. Values (0, 1) give the Poisson-binomial, three values a trinomial score.
    """
    keep = np.asarray(counts) > 0
    chances, count = np.asarray(probabilities, dtype=float)[keep], np.asarray(counts, dtype=float)[keep]
    v = np.asarray(values, dtype=float)
    possible = np.where(chances > 0.0, v, -1.0).max(axis=1, initial=0.0)
    least = (
        float(count @ np.where(chances > 0.0, v, np.inf).min(axis=1, initial=np.inf)) if len(count) else 0.0
    )
    top = float(count @ possible)
    if threshold <= least:
        return 0.0
    if threshold > top:
        return -math.inf
    with np.errstate(divide="ignore"):
        logs = np.log(chances)
    if threshold == top:
        return _log10(float(count @ np.where(v == possible[:, None], logs, -np.inf).max(axis=1)))
    tilt = _tilt(logs, v, count, float(threshold))
    tilted, log_m = _tilted(logs, v, tilt)
    mean = float(count @ (tilted @ v))
    variance = float(count @ (tilted @ v**2 - (tilted @ v) ** 2))
    half = math.ceil(60 * v.max() + 20 * math.sqrt(max(variance, 0.0)))
    size = int(top) + 1
    start = 0
    if size > 2 * half:
        start, size = max(0, int(mean) - half), 2 * half
    if threshold <= start:
        return 0.0
    mass = _fourier(tilted, v, count, size)
    x = np.arange(threshold, min(start + size, int(top) + 1))
    part = math.fsum(np.maximum(mass[x % size], 0.0) * np.exp(-tilt * (x - threshold)))
    return _log10(float(count @ log_m) - tilt * threshold + math.log(max(part, 1e-300)))


def _tilted(logs: NDArray[Any], v: NDArray[Any], tilt: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities of the tilted terms (groups, outcomes) and the log of each group's moment function."""
    raised = logs + tilt * v
    top = raised.max(axis=1, keepdims=True)
    weights = np.exp(raised - top)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total, (top + np.log(total))[:, 0]


def _tilt(logs: NDArray[Any], v: NDArray[Any], count: NDArray[Any], target: float) -> float:
    """The t ≥ 0 at which the tilted mean is ``target`` (0 when the mean is already there): Newton's method,
    kept within what is known to lie below and above."""
    low, high, t = 0.0, math.inf, 0.0
    for _ in range(200):
        chances = _tilted(logs, v, t)[0]
        means = chances @ v
        gap = float(count @ means) - target
        if abs(gap) < 1e-9 * target or (t == 0.0 and gap >= 0.0) or high - low < 1e-12:
            break
        low, high = (t, high) if gap < 0.0 else (low, t)
        variance = float(count @ (chances @ v**2 - means**2))
        t = t - gap / variance if variance > 1e-12 else 2 * t + 1.0
        if not low < t < high:
            t = (low + high) / 2 if math.isfinite(high) else 2 * low + 1.0
    return t


def _fourier(tilted: NDArray[Any], v: NDArray[Any], count: NDArray[Any], size: int) -> NDArray[Any]:
    """Probability of every value of the sum modulo ``size``."""
    angle = 2.0 * math.pi * np.arange(size // 2 + 1) / size
    waves = np.exp(-1j * np.outer(v, angle))
    total = np.zeros(len(angle), dtype=complex)
    with np.errstate(divide="ignore", invalid="ignore"):
        for row, times in zip(tilted, count, strict=True):
            total += times * np.log(row @ waves)
        spectrum = np.exp(total)
    spectrum[~np.isfinite(spectrum)] = 0.0
    mass: NDArray[Any] = np.fft.irfft(spectrum, size)
    return mass
