"""Which layer of a candidate answers which of the reference's, whatever the order of either's units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.sketch import Onto
from apograph.align.pairing import unit_rows

Floats: TypeAlias = NDArray[Any]

UNITS = 32
CLEAR = 0.5
"""|cosine| of units from which layers answer each other beyond doubt."""
CHANCE = 1.3
"""How many times what unrelated units reach some layer has to reach for the search to go on."""


def layer_pairs(
    a: Sequence[Callable[[], Floats | None]], b: Sequence[Callable[[], Floats | None]], onto: Onto
) -> list[tuple[int, int]]:
    """Pairs of layers by the best |cosine| that units of the one have among those of the other.

    ``a`` gives some of a layer's rows [at most ``UNITS``, width], ``b`` sketches of all of them, which
    ``onto`` makes of such rows; or None. The order as it stands where that is clear, else by assignment.
    Empty where nothing is more alike than chance. Memory: the sketches of two layers.
    """
    own = [_own(rows(), onto) for rows in a]
    straight = list(zip(range(len(a)), range(len(b)), strict=False))
    with ThreadPoolExecutor(2) as pool:
        scores = list(pool.map(lambda pair: _score(own[pair[0]], b[pair[1]]()), straight))
    if len(a) == len(b) and all(s is None or s[0] >= CLEAR for s in scores):
        return straight if any(s is not None for s in scores) else []
    from scipy.optimize import linear_sum_assignment

    table, chance = np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    for j, rows in enumerate(b):
        other = rows()
        for i, mine in enumerate(own):
            table[i, j], chance[i, j] = _score(mine, other) or (0.0, 0.0)
    if not table.size or table.max() < CHANCE * max(float(np.median(chance)), 1e-9):
        return []
    found = linear_sum_assignment(-table)
    return [(int(i), int(j)) for i, j in zip(*found, strict=True)]


def some_of(units: int) -> NDArray[np.int64]:
    """Places [at most ``UNITS``], evenly spaced, of the units by which a layer is looked for."""
    return np.linspace(0, units - 1, min(UNITS, units)).astype(np.int64)


def _own(rows: Floats | None, onto: Onto) -> Floats | None:
    """Sketches of length 1 of rows, and of the same with their channels exchanged."""
    if rows is None:
        return None
    mixed = rows[:, np.random.default_rng(0).permutation(rows.shape[1])]
    return unit_rows(onto.rows(np.concatenate([rows, mixed])))


def _score(own: Floats | None, b: Floats | None) -> tuple[float, float] | None:
    """Median best |cosine| of some units, and the same for rows whose channels were exchanged."""
    if own is None or b is None:
        return None
    best = np.abs(own @ unit_rows(b).T).max(axis=1)
    half = len(own) // 2
    return float(np.median(best[:half])), float(np.median(best[half:]))
