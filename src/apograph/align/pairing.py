"""Which unit of one module answers which of another, without a look at any sign that is tested.

Every similarity here is a sum of absolute values, or of norms of blocks: changing the sign of a unit on
either side changes none of them. So a coin stays fair whichever pairs are chosen. Pairs are one-to-one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
ASSIGNED = 2048
"""Units up to which the best assignment is found (Kuhn-Munkres, cubic); beyond, mutual nearest neighbours."""
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Sketch:
    """Some channels of one side's module: ``near`` [groups, units, channels], ``far`` [groups, shared, units,
    channels] (both rows of the residual stream), ``gate`` as ``near``, for MLPs that have it."""

    near: Floats
    far: Floats
    gate: Floats | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.far.shape


def paired(family: str, a: Sketch, b: Sketch) -> tuple[Sketch, Sketch]:
    """Both sides with units that answer each other at equal places; left-over units are gone."""
    if family == "mlp":
        if a.gate is None or b.gate is None:
            a, b = replace(a, gate=None), replace(b, gate=None)
        i, j = assigned(_hidden(a), _hidden(b))
        return _taken(a, i), _taken(b, j)
    groups = _likeness(_blocks(a.near), _blocks(b.near)) + _likeness(_blocks(a.far), _blocks(b.far))
    i, j = best(groups)
    a, b = _taken(a, i), _taken(b, j)
    near, far = b.near.copy(), b.far.copy()
    for g in range(len(near)):
        heads = best(_likeness(_blocks(a.far[g]), _blocks(far[g])))[1]
        far[g] = far[g][heads]
        if family == "vo":
            table = _absolute(a.near[g], near[g])
            for x, y in zip(a.far[g], far[g], strict=True):
                table += _absolute(x, y)
            units = best(table)[1]
            near[g], far[g] = near[g][units], far[g][:, units]
    return a, replace(b, near=near, far=far)


def as_stored(a: Sketch, b: Sketch) -> bool:
    """Whether units can be paired as they stand."""
    return a.shape == b.shape and a.near.shape == b.near.shape


def assigned(a: list[Floats], b: list[Floats]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One-to-one pairs of rows by the sum of |cosine| over several matrices each: the best assignment, or
    mutual nearest neighbours for many rows, found in pieces."""
    a, b = [_unit(x) for x in a], [_unit(x) for x in b]
    if max(len(a[0]), len(b[0])) <= ASSIGNED:
        return best(_sum(a, b))
    right = np.empty(len(a[0]), np.int64)
    top, left = np.full(len(b[0]), -1.0, np.float32), np.zeros(len(b[0]), np.int64)
    for start in range(0, len(a[0]), _ROWS):
        table = _sum([x[start : start + _ROWS] for x in a], b)
        right[start : start + _ROWS] = table.argmax(1)
        place = table.argmax(0)
        values = table[place, np.arange(len(left))]
        better = values > top
        top[better], left[better] = values[better], start + place[better]
    rows = np.flatnonzero(left[right] == np.arange(len(right)))
    return rows, right[rows]


def best(table: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the assignment with the largest sum."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-table)
    return rows, columns


def basis(a: Floats, b: Floats) -> NDArray[np.float32] | None:
    """The rotation of the residual stream that takes the rows of ``a`` to those of ``b`` (tables of one
    vocabulary) best, Procrustes' solution (Schönemann 1966); None where that helps little. Never to be used
    for a test of the residual channels' own signs."""
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    if scale == 0.0:
        return None
    straight = float(np.einsum("ij,ij->", a, b, dtype=np.float64)) / scale
    if straight > 0.5:
        return None
    left, values, right = np.linalg.svd(a.T @ b)
    if float(values.sum()) / scale < straight + 0.1:
        return None
    turn: NDArray[np.float32] = (left @ right).astype(np.float32)
    return turn


def _hidden(s: Sketch) -> list[Floats]:
    found = [s.near[:, 0], s.far[:, 0, 0]]
    return found if s.gate is None else [*found, s.gate[:, 0]]


def _taken(s: Sketch, places: NDArray[np.int64]) -> Sketch:
    return Sketch(s.near[places], s.far[places], None if s.gate is None else s.gate[places])


def _unit(x: NDArray[Any]) -> NDArray[Any]:
    made: NDArray[Any] = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-30)
    return made


def _absolute(a: Floats, b: Floats) -> NDArray[Any]:
    made: NDArray[Any] = np.abs(_unit(a) @ _unit(b).T)
    return made


def _sum(a: list[Floats], b: list[Floats]) -> NDArray[Any]:
    table: NDArray[Any] = np.abs(a[0] @ b[0].T)
    for x, y in zip(a[1:], b[1:], strict=True):
        table += np.abs(x @ y.T)
    return table


def _blocks(x: NDArray[Any]) -> NDArray[Any]:
    """[groups, rows, channels] of length 1 each."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    made: NDArray[Any] = flat / np.maximum(np.linalg.norm(flat, axis=(1, 2), keepdims=True), 1e-30)
    return made


def _likeness(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Frobenius norms of the products of every block with every other: no sign, order or rotation of the rows
    within a block changes them."""
    made: NDArray[Any] = np.stack([[np.linalg.norm(x @ y.T) for y in b] for x in a])
    return made
