"""Samples of tensors' elements, blind to signs: what the matching looks at before anything is read whole.

Tensors are matched by the correlation of *absolute values*. A matching by signed values would choose the
pairs whose signs agree and so spoil every later test of signs; absolute values carry no trace of them. For
two Gaussian elements of correlation 0.7 the absolute values correlate by 0.45, for 0.24 by 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.role_views import bounded
from apograph.findings import Refusal
from apograph.release.elements import element_type
from apograph.release.file_store import FileStore
from apograph.release.tensor_store import TensorStore

RUNS, RUN = 16, 256
TILE = 64
SPAN = 1 << 13
"""Elements for each run up to which all from the first to the last are read at once: a read of its own costs
as much, from memory less than from a disk."""

Vector = NDArray[np.float32]


def cells(shape: Sequence[int]) -> int:
    """Elements in one row along axis 0."""
    return math.prod(shape[1:])


def significant(n: int) -> float:
    """The correlation of two samples of ``n`` elements above which they are taken to answer each other: six
    standard deviations for independent elements, and never below 0.1."""
    return max(0.1, 6 / math.sqrt(max(n, 1)))


class Samples:
    """Standardised samples of one checkpoint, read once each; None where no values can be had."""

    def __init__(self, store: TensorStore) -> None:
        self.store = store
        self._known: dict[tuple[str, int, int, str], Vector | None] = {}

    def rows(self, name: str, start: int, stop: int) -> Vector | None:
        """|values| of 16 runs of 256 elements spread over rows [start, stop), or of all when they are few.
        The places depend on the number of elements alone, so that parts of equal shape can be compared."""
        key = (name, start, stop, "rows")
        if key not in self._known:
            width = cells(self.store.infos[name].shape or ())
            length, starts = _runs((stop - start) * width)
            self._known[key] = self._read(name, [start * width + s for s in starts], length)
        return self._known[key]

    def tile(self, name: str, transposed: bool) -> Vector | None:
        """|values| of a 64 x 64 tile in the middle of a matrix, or of the same tile of its transpose."""
        shape = self.store.infos[name].shape or ()
        m, n = shape[0], cells(shape)
        rows, columns = min(m, TILE), min(n, TILE)
        top, left = (m - rows) // 2, (n - columns) // 2
        key = (name, rows, columns, "transposed" if transposed else "tile")
        if key not in self._known:
            starts = [(top + r) * n + left for r in range(rows)]
            # A tensor without rows has a tile of nothing.
            length = columns if rows else 0
            self._known[key] = self._read(name, starts, length, length if transposed else None)
        return self._known[key]

    def _read(self, name: str, starts: list[int], length: int, turn: int | None = None) -> Vector | None:
        try:
            values = bounded(_gathered(self.store, name, starts, length))
        except Refusal:
            return None
        return _standardised(values.reshape(-1, turn).T if turn else values)


def _gathered(store: TensorStore, name: str, starts: Sequence[int], length: int) -> NDArray[Any]:
    """The values of ``length`` elements from each of ``starts``, one after the other. Many short runs of
    plain elements are decoded at once."""
    kind = element_type(store.dtype(name))
    if len(starts) > 1 and kind is not None and kind.elements == 1 and isinstance(store, FileStore):
        first, span = starts[0], starts[-1] + length - starts[0]
        if span <= SPAN * len(starts):
            # One read of everything between costs less than many short ones.
            whole = store.raw(name, first, first + span)
            parts = [whole[s - first : s - first + length] for s in starts]
            return kind.decode(np.concatenate(parts).view(np.uint8))
        if store.place(name) is not None:
            return kind.decode(store.runs(name, starts, length).reshape(-1).view(np.uint8))
    return np.concatenate([store.block(name, s, s + length) for s in starts or (0,)])


@cache
def _runs(n: int) -> tuple[int, tuple[int, ...]]:
    """The length of each run, and where runs begin."""
    if n <= RUNS * RUN:
        return n, (0,)
    return RUN, tuple((n - RUN) * k // (RUNS - 1) for k in range(RUNS))


def _standardised(values: NDArray[np.floating]) -> Vector | None:
    """|values| with mean 0 and length 1; None for values that are constant or not finite."""
    flat = np.abs(values.reshape(-1), dtype=np.float64)
    if not flat.size:
        return None
    flat -= flat.sum() / flat.size
    length = math.sqrt(float(flat @ flat))
    if not math.isfinite(length) or length <= 1e-12 * math.sqrt(flat.size):
        return None
    made: Vector = (flat / length).astype(np.float32)
    return made


def correlations(a: Sequence[Vector | None], b: Sequence[Vector | None]) -> NDArray[np.float32]:
    """Correlation of every sample of ``a`` with every one of ``b`` (equal lengths), [len(a), len(b)]; 0 where
    one is None."""
    table = np.zeros((len(a), len(b)), np.float32)
    have_a, have_b = ([n for n, v in enumerate(side) if v is not None] for side in (a, b))
    if have_a and have_b:
        left = np.stack([v for v in a if v is not None])
        right = np.stack([v for v in b if v is not None])
        table[np.ix_(have_a, have_b)] = left @ right.T
    return table


def assign(table: NDArray[np.float32], least: float) -> list[tuple[int, int, float]]:
    """One-to-one pairs of rows and columns that maximise the sum, those of at least ``least``."""
    if not table.size or float(table.max()) < least:
        return []
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-np.where(table >= least, table, 0.0))
    return [
        (int(r), int(c), float(table[r, c]))
        for r, c in zip(rows, columns, strict=True)
        if table[r, c] >= least
    ]
