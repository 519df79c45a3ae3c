"""Which layer of a candidate answers which of the reference's, whatever the order of either's units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.pairing import sketched

Floats: TypeAlias = NDArray[Any]

UNITS = 32
CLEAR = 0.5
"""|cosine| of units from which layers answer each other beyond doubt."""
CHANCE = 1.3
"""How many times what unrelated units reach some layer has to reach for the search to go on."""


def layer_pairs(
    a: Sequence[Callable[[], Floats | None]], b: Sequence[Callable[[], Floats | None]]
) -> list[tuple[int, int]]:
    """Pairs of layers by the best |cosine| that units of the one have among those of the other.

    ``a`` and ``b`` give a layer's rows [units, width] over one stream, or None. The order as it stands where
    that is clear, else by assignment. Empty where nothing is more alike than chance.
    """
    straight = list(zip(range(len(a)), range(len(b)), strict=False))
    scores = [_score(a[i](), b[j]()) for i, j in straight]
    if len(a) == len(b) and all(s is None or s[0] >= CLEAR for s in scores):
        return straight if any(s is not None for s in scores) else []
    from scipy.optimize import linear_sum_assignment

    table, chance = np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    own = [rows() for rows in a]
    for j, rows in enumerate(b):
        other = rows()
        for i, mine in enumerate(own):
            table[i, j], chance[i, j] = _score(mine, other) or (0.0, 0.0)
    if not table.size or table.max() < CHANCE * max(float(np.median(chance)), 1e-9):
        return []
    found = linear_sum_assignment(-table)
    return [(int(i), int(j)) for i, j in zip(*found, strict=True)]


def _score(a: Floats | None, b: Floats | None) -> tuple[float, float] | None:
    """Median best |cosine| of some units, and the same for rows whose channels were exchanged."""
    if a is None or b is None or a.shape[1] != b.shape[1]:
        return None
    some = a[np.linspace(0, len(a) - 1, min(UNITS, len(a))).astype(int)]
    mixed = some[:, np.random.default_rng(0).permutation(a.shape[1])]
    x, y = sketched(np.concatenate([some, mixed]), b)
    best = np.abs(x @ y.T).max(axis=1)
    return float(np.median(best[: len(some)])), float(np.median(best[len(some) :]))
