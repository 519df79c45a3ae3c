"""The tensors of a checkpoint as the role graph sees them: matrices, vectors, tables; their traits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apograph.align.role_views import plain_shape, read
from apograph.align.roles import View
from apograph.findings import Refusal
from apograph.release.tensor_store import TensorStore

Reals = NDArray[np.float64]
LEADING = 256
"""Gram matrices are kept for so many leading rows or columns."""
SAMPLED = 4096
"""Rows that are looked at of a matrix with very many of them, such as an embedding."""
_FLOATS = ("F", "BF", "Q", "I2_S", "TQ", "IQ")
_STACK, _LONG = 512, 8


@dataclass(frozen=True, slots=True)
class Sheet:
    """One matrix as stored, [rows, columns]; ``view`` sees it all, not turned. ``place`` in the checkpoint,
    ``items`` of the stack that it stands for (its first item), else 0."""

    view: View
    rows: int
    columns: int
    place: int
    items: int = 0


@dataclass(frozen=True, slots=True)
class Vector:
    """A one-dimensional tensor."""

    name: str
    length: int
    place: int


@dataclass(frozen=True, slots=True)
class Sorted:
    """``kernels``: convolutions, seen as [out, all the rest]; ``rest``: everything without a part to play."""

    sheets: tuple[Sheet, ...]
    vectors: tuple[Vector, ...]
    kernels: tuple[Sheet, ...]
    rest: tuple[str, ...]


def sort_tensors(store: TensorStore) -> Sorted:
    """By number of axes and type of storage; integers, masks and scalars are the rest."""
    sheets: list[Sheet] = []
    vectors: list[Vector] = []
    kernels: list[Sheet] = []
    rest: list[str] = []
    for place, (name, info) in enumerate(store.infos.items()):
        shape = tuple(info.shape or ())
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
        if not shape or not math.prod(shape) or not (info.dtype or "").startswith(_FLOATS):
            rest.append(name)
        elif len(shape) == 1 and len(info.shape or ()) == 1:
            vectors.append(Vector(name, shape[0], place))
        elif len(shape) == 3 and shape[0] <= _STACK and min(shape[1:]) >= _LONG:
            sheets.append(Sheet(View(name, item=0), shape[1], shape[2], place, shape[0]))
        else:
            rows, columns = plain_shape(info.shape or ()) if len(shape) > 1 else (1, shape[0])
            (kernels if len(shape) > 2 else sheets).append(Sheet(View(name), rows, columns, place))
    return Sorted(tuple(sheets), tuple(vectors), tuple(kernels), tuple(rest))


@dataclass(frozen=True, slots=True)
class Traits:
    """What is kept of one matrix: for its rows [0] and its columns [1] the features of ``units``, the Gram
    matrix of the leading ones, and the squared norms."""

    units: tuple[Reals, Reals]
    grams: tuple[Reals, Reals]
    squares: tuple[Reals, Reals]
    mean: tuple[float, float]


class Reader:
    """Traits of matrices and values of vectors, each read once."""

    def __init__(self, store: TensorStore) -> None:
        self.store = store
        self._traits: dict[View, Traits | None] = {}
        self._vectors: dict[View, Reals] = {}

    def traits(self, view: View) -> Traits | None:
        """None where the values cannot be had."""
        if view not in self._traits:
            try:
                self._traits[view] = _traits(read(self.store, view))
            except Refusal:
                self._traits[view] = None
        return self._traits[view]

    def vector(self, view: View) -> Reals:
        """The values; one zero, [1], where they cannot be had."""
        if view not in self._vectors:
            try:
                self._vectors[view] = read(self.store, view).astype(np.float64)
            except Refusal:
                self._vectors[view] = np.zeros(1)
        return self._vectors[view]


def _traits(matrix: NDArray[np.float32]) -> Traits:
    matrix = np.where(np.isfinite(matrix), matrix, 0)
    if len(matrix) > 8 * SAMPLED:
        matrix = matrix[:: len(matrix) // SAMPLED]
    pair = matrix, matrix.T
    return Traits(
        (units(pair[0]), units(pair[1])),
        (_gram(pair[0]), _gram(pair[1])),
        (_squares(pair[0]), _squares(pair[1])),
        (mean_row(pair[0]), mean_row(pair[1])),
    )


def _squares(matrix: NDArray[np.float32]) -> Reals:
    squares: Reals = np.einsum("ij,ij->i", matrix, matrix).astype(np.float64)
    return squares


def _gram(matrix: NDArray[np.float32]) -> Reals:
    first = matrix[:LEADING]
    return (first @ first.T).astype(np.float64)


def mean_row(matrix: NDArray[np.float32]) -> float:
    """Of [rows, columns], the squared length of the mean row over that of rows of random signs: about 1 where
    signs are free."""
    total = float(_squares(matrix).sum())
    return float(np.sum(matrix.sum(axis=0, dtype=np.float64) ** 2)) / total if total else 1.0


def units(matrix: NDArray[np.float32]) -> Reals:
    """Features [rows, 4] of every row, whitened: length, peakedness, share along the mean row and along the
    leading directions of all rows. Blind to the row's sign; the last three also to its scale. The units of
    one module agree in them between the matrices that hold the units, trained or rotated, and only there."""
    length = np.sqrt(_squares(matrix)) + 1e-30
    unit = matrix / length[:, None].astype(np.float32)
    mean = unit.mean(axis=0)
    mean = mean / (np.linalg.norm(mean) + 1e-30)
    sample = unit[:: max(1, len(unit) // LEADING)][:LEADING]
    leading = np.linalg.svd(sample, full_matrices=False)[2][: max(1, min(sample.shape) // 16)]
    features = np.stack(
        [
            np.log(length),
            np.log((unit**4).sum(axis=1) + 1e-30),
            np.abs(unit @ mean),
            np.log(((unit @ leading.T) ** 2).sum(axis=1) + 1e-6),
        ],
        axis=1,
    ).astype(np.float64)
    return whitened(features)


def whitened(features: Reals) -> Reals:
    """Of features [units, n]: columns of mean 0, variance 1 and no correlation; constant ones are zero."""
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    centred = np.where(spread > 1e-6, centred / np.maximum(spread, 1e-6), 0.0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    scale = np.where(values > 1e-3, 1 / np.sqrt(np.maximum(values, 1e-3)), 0.0)
    result: Reals = centred @ (vectors * scale)
    return result
