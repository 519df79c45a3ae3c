"""Rows of a matrix in few numbers, read block by block.

A sketch adds channels with random signs into ``SKETCH`` sums (Charikar, Chen and Farach-Colton 2002;
Weinberger et al. 2009): products of two rows keep their value in the mean, and cosines are off by about
1/√SKETCH = 0.044, which confuses no rows that are alike; rows that are multiples of each other stay so
exactly. The candidate's rows are carried into the reference's channels in the same step, so that no rotated
matrix is ever made whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import PLAIN, Axis
from apograph.align.role_views import Floats, part, view_shape
from apograph.align.roles import View
from apograph.release.tensor_store import TensorStore

Index: TypeAlias = NDArray[np.int64]

SKETCH = 512
"""Channels that stay as they are, but for their signs; more are added up into so many sums."""
STEP = 1 << 22
"""Elements that are read at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Onto:
    """A linear map of channels to ``size`` sums. Sum ``n`` is that of channels ``places[:, n]`` times
    ``factors[:, n]`` ([terms, size]), or, where ``matrix`` [channels, size] is given, the product with it."""

    places: Index
    factors: Floats
    matrix: Floats | None = None

    def rows(self, values: NDArray[Any]) -> Floats:
        """[rows, channels] → [rows, size]"""
        if self.matrix is not None:
            return np.asarray(values @ self.matrix, np.float32)
        made = np.zeros((len(values), self.places.shape[1]), np.float32)
        for places, factors in zip(self.places, self.factors, strict=True):
            run = slice(int(places[0]), int(places[0]) + len(places))
            straight = np.array_equal(places, np.arange(run.start, run.stop))
            made += (values[:, run] if straight else np.take(values, places, axis=1)) * factors
        return made

    def add(self, sums: Floats, values: NDArray[Any], first: int = 0) -> None:
        """Add what channels from ``first``, [channels, units], contribute to ``sums`` [size, units]."""
        if self.matrix is not None:
            sums += self.matrix[first : first + len(values)].T @ values
            return
        for places, factors in zip(self.places, self.factors, strict=True):
            here = np.flatnonzero((places >= first) & (places < first + len(values)) & (factors != 0))
            if len(here):
                sums[here] += values[places[here] - first] * factors[here, None]


def onto(width: int, axis: Axis = PLAIN) -> Onto:
    """The sketch of ``width`` channels after they were carried over by ``axis``: of the reference's rows as
    they are, and of the candidate's with their map, the sums are the same for equal rows. Fixed seed."""
    size = min(width, SKETCH)
    random = np.random.default_rng(0)
    terms = -(-width // size)
    signs = random.choice(np.array([-1, 1], np.float32), terms * size)
    signs[width:] = 0
    places, factors = np.arange(terms * size).reshape(terms, size), signs.reshape(terms, size)
    places = np.where(factors == 0, 0, places)
    if axis.after is not None:
        factors = factors * axis.after.astype(np.float32)[places]
    if axis.mix is None:
        if axis.index is not None:
            places = axis.index[places]
            factors = np.where(places < 0, np.float32(0), factors)
            places = np.maximum(places, 0)
        if axis.before is not None:
            factors = factors * axis.before.astype(np.float32)[places]
        return Onto(places, factors)
    matrix = Onto(places, factors).rows(axis.mix[0])
    if axis.index is not None:
        there = axis.index >= 0
        moved = np.zeros_like(matrix)
        moved[axis.index[there]] = matrix[there]
        matrix = moved
    if axis.before is not None:
        matrix = matrix * axis.before.astype(np.float32)[:, None]
    return Onto(places, factors, matrix)


def sketch(store: TensorStore, view: View, channels: Onto, axis: int = 1) -> Floats:
    """Sketches [units, size] of the rows of a view [units, channels], or, with ``axis`` 0, of the columns of
    one [channels, units]. Memory: the result and some blocks of ``STEP`` elements. Raises as ``read``."""
    units, size = view_shape(store, view)[1 - axis], channels.places.shape[1]
    if view.turned != (axis == 0):
        sums = np.zeros((size, units), np.float32)
        for first, block in _blocks(store, view):
            channels.add(sums, block, first)
        return np.ascontiguousarray(sums.T)
    made = np.empty((units, size), np.float32)
    for first, block in _blocks(store, view):
        made[first : first + len(block)] = channels.rows(block)
    return made


def _blocks(store: TensorStore, view: View) -> Iterator[tuple[int, Floats]]:
    """The matrix as it is stored, by lines: the first of each block, [lines, across]."""
    out, into = view_shape(store, view)
    count, across = (into, out) if view.turned else (out, into)
    high = max(STEP // max(across, 1), 1)
    for first in range(0, count, high):
        lines = np.arange(first, min(first + high, count))
        yield first, part(store, view, None, lines).T if view.turned else part(store, view, lines)


def rows_of(store: TensorStore, view: View, places: Index, axis: int = 0) -> Floats:
    """Rows [places, across] of a view in any order (-1: zeros), or, with ``axis`` 1, its columns, as rows.
    Raises as ``read``."""
    there = np.flatnonzero(places >= 0)
    known, back = np.unique(places[there], return_inverse=True)
    found = part(store, view, None, known).T if axis else part(store, view, known)
    if len(known) == len(places) and np.array_equal(back, np.arange(len(places))):
        return found
    made = np.zeros((len(places), found.shape[1]), np.float32)
    made[there] = found[back]
    return made
