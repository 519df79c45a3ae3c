"""Which row of one matrix answers which of another's, by absolute cosines alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]
Index: TypeAlias = NDArray[np.int64]

SKETCH = 512
"""Channels beyond which rows are compared through a random projection to that many (Johnson, Lindenstrauss
1984): cosines are then off by about 0.04, which confuses no pair that is alike."""
STEP = 1024
REST = 2048
"""Units without a mutual best partner, on either side, that are still assigned to each other (Kuhn-Munkres,
whose time grows with the third power)."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """For each row of the first side its partner (-1 for none; no partner twice), and whether each is the
    other's best."""

    index: Index
    mutual: NDArray[np.bool_]


def pair_rows(rows_a: Sequence[Floats], rows_b: Sequence[Floats]) -> Pairing:
    """One-to-one pairs of units by the sum of the |cosines| of their rows.

    ``rows_a`` and ``rows_b`` hold the same kinds of rows, [units, channels] each: gate's and up's, say.
    Each other's best first, the rest by assignment, up to ``REST`` units. Blind to signs: of a gated MLP, of
    value/output and of query/key it may serve a test of signs, in channels that agree or were made to agree
    by tensors outside the module; of residual channels it may not, after a map from embeddings.
    """
    pairs = [sketched(a, b) for a, b in zip(rows_a, rows_b, strict=True)]
    best, back = best_partners(pairs)
    units, others = len(best), len(back)
    index = np.full(units, -1, np.int64)
    mutual = (back[best] == np.arange(units)) if others and units else np.zeros(units, bool)
    index[mutual] = best[mutual]
    left = np.flatnonzero(~mutual)
    free = np.setdiff1d(np.arange(others), index)
    if len(left) and len(free) and max(len(left), len(free)) <= REST:
        from scipy.optimize import linear_sum_assignment

        table = sum((np.abs(a[left] @ b[free].T) for a, b in pairs), np.zeros((len(left), len(free))))
        rows, columns = linear_sum_assignment(-table)
        index[left[rows]] = free[columns]
    return Pairing(index, mutual)


def sketched(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Both sides' rows with length 1, in at most ``SKETCH`` dimensions."""
    channels = a.shape[1]
    if channels > SKETCH:
        onto = np.random.default_rng(0).standard_normal((channels, SKETCH), np.float32)
        a, b = a.astype(np.float32, copy=False) @ onto, b.astype(np.float32, copy=False) @ onto
    return unit_rows(a), unit_rows(b)


def unit_rows(rows: Floats) -> Floats:
    """Every row divided by its length; rows of zeros stay."""
    long = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return np.asarray(rows / np.maximum(long, 1e-30)[:, None], np.float32)


def cosines(a: Floats, b: Floats) -> NDArray[np.float64]:
    """The cosine of each row with that of the same number."""
    return np.asarray(np.einsum("ij,ij->i", unit_rows(a), unit_rows(b), dtype=np.float64))


def best_partners(pairs: Sequence[tuple[Floats, Floats]], signed: bool = False) -> tuple[Index, Index]:
    """The best partner of every row of the first side and of every one of the second, by the sum of
    |products| (of products, where ``signed``) over all ``pairs``."""
    units, others = len(pairs[0][0]), len(pairs[0][1])
    best = np.zeros(units, np.int64)
    back, top = np.zeros(others, np.int64), np.full(others, -np.inf, np.float32)
    for start in range(0, units if others else 0, STEP):
        table = np.zeros((min(STEP, units - start), others), np.float32)
        for a, b in pairs:
            part = a[start : start + STEP] @ b.T
            table += part if signed else np.abs(part, out=part)
        best[start : start + STEP] = table.argmax(axis=1)
        rows = table.argmax(axis=0)
        values = table[rows, np.arange(others)]
        better = values > top
        back[better], top[better] = start + rows[better], values[better]
    return best, back
