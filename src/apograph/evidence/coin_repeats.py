"""Units and modules that repeat each other within one release share their coins: each counts once.

Heads copied to fill a shape, a widened layer, a duplicated layer, experts made from one MLP: if the one is a
copy of the other, its coin falls as the other's does. Which side's signs are the free ones is not known, so
both sides are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.coin_sketch import parts, sketch
from apograph.evidence.coin_test import FLOOR_P, FLOOR_SHARE, Coins, two_sided
from apograph.release.tensor_store import TensorStore

REPEATED = 0.5
"""|cosine| of two units of one release above which they are taken for copies of each other."""
PART = 128
"""Channels that are looked at."""
PROBES = 128
"""Units that are held against all others; if none of them has a copy the module has hardly any."""
SAMPLE = 256
"""Units that are thrown between two modules of one release."""
NEAR = 256
"""Modules after each, in order, with which it is compared."""
_ROWS = 1024

Stores = tuple[TensorStore, TensorStore]
Units = NDArray[Any]


def distinct(a: Sequence[Units], b: Sequence[Units]) -> NDArray[np.int64] | None:
    """One unit for each set of paired units that repeat each other in any matrix [units, features] of a side
    (connected over both sides); None where no unit does."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    matrices = [_unit(m) for m in (*a, *b)]
    if not any(_probed(m) for m in matrices):
        return None
    pairs = np.concatenate([_copies(m) for m in matrices])
    n = len(matrices[0])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    labels = connected_components(graph, directed=False)[1]
    return np.sort(np.unique(labels, return_index=True)[1])


def once(coins: Sequence[Coins], stores: Stores) -> tuple[Coins, ...]:
    """One module, that with the smallest p, for each set of modules that share coins on a side."""
    parents = list(range(len(coins)))

    def root(n: int) -> int:
        while parents[n] != n:
            n = parents[n]
        return n

    for shape in {_shape(c) for c in coins}:
        places = [n for n, c in enumerate(coins) if _shape(c) == shape]
        for side, store in enumerate(stores) if len(places) > 1 else ():
            units = [_sampled(_flat(coins[n], side, store)) for n in places]
            for i, j in _sharing(units):
                parents[root(places[j])] = root(places[i])
    kept: dict[int, Coins] = {}
    for n, c in enumerate(coins):
        old = kept.get(root(n))
        kept[root(n)] = c if old is None or c.log10_p < old.log10_p else old
    return tuple(kept.values())


def _sharing(units: Sequence[Units]) -> list[tuple[int, int]]:
    """Pairs of modules of one release whose coins agree, by the coins' own test."""
    least = FLOOR_P - np.log10(max(len(units) * (len(units) - 1) / 2, 1))
    found = []
    for i, a in enumerate(units):
        for j in range(i + 1, min(i + 1 + NEAR, len(units))):
            dot = np.einsum("uc,uc->u", a, units[j])
            heads, n = int((dot > 0).sum()), int((dot != 0).sum())
            if n and max(heads, n - heads) > FLOOR_SHARE * n and two_sided(heads, n) <= least:
                found.append((i, j))
    return found


def _shape(c: Coins) -> tuple[object, ...]:
    m = c.module
    return m.family, m.groups, m.units, m.shared, m.sure


def _flat(c: Coins, side: int, store: TensorStore) -> Units:
    return np.concatenate(parts(c.module, sketch(c.module, side, store, channels=PART)), axis=1)


def _sampled(units: Units) -> Units:
    return units if len(units) <= SAMPLE else units[np.arange(SAMPLE) * len(units) // SAMPLE].copy()


def _unit(x: Units) -> Units:
    made: Units = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)
    return made


def _least(units: Units) -> float:
    return float(max(REPEATED, 6 / np.sqrt(units.shape[1])))


def _probed(units: Units) -> bool:
    n = len(units)
    places = np.arange(n) if n <= PROBES else np.random.default_rng(0).choice(n, PROBES, replace=False)
    likeness = np.abs(units[places] @ units.T)
    likeness[np.arange(len(places)), places] = 0
    return bool((likeness.max(axis=1) > _least(units)).any())


def _copies(units: Units) -> NDArray[np.int64]:
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(units), _ROWS):
        rows, columns = np.nonzero(np.abs(units[start : start + _ROWS] @ units.T) > _least(units))
        found.append(np.stack([rows + start, columns], axis=1))
    return np.concatenate(found)
