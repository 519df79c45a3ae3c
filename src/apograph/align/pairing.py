"""Which unit of one module answers which of another, without a look at any sign that is tested.

Every similarity that may serve a test is a sum of absolute values, or of norms of blocks: changing the sign
of a unit on either side changes none of them. So a coin stays fair whichever pairs are chosen. Pairs are
one-to-one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Index: TypeAlias = NDArray[np.int64]
ASSIGNED = 2048
"""Units up to which the best assignment is found (Kuhn-Munkres, cubic); beyond, mutual nearest neighbours."""
REST = 2048
"""Units without a mutual best partner, on either side, that are still assigned to each other."""
COARSE = 64
"""Numbers of a row by which partners are looked for first, where it has a multiple of that."""
CLEAR = 0.5
"""Mean |cosine| from which a partner that was found so needs no closer look."""
STEP = 512
WIDE = 8192


@dataclass(frozen=True, slots=True)
class Sketch:
    """Some channels of one side's module: ``near`` [groups, units, channels], ``far`` [groups, shared, units,
    channels] (both rows of the residual stream), ``gate`` as ``near``, for MLPs that have it."""

    near: Floats
    far: Floats
    gate: Floats | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(groups, shared, units, channels) of ``far``."""
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


def assigned(a: Sequence[Floats], b: Sequence[Floats]) -> tuple[Index, Index]:
    """One-to-one pairs of rows by the sum of |cosine| over several matrices each: the best assignment, or
    mutual nearest neighbours for many rows."""
    pairs = [(unit_rows(x), unit_rows(y)) for x, y in zip(a, b, strict=True)]
    if max(len(pairs[0][0]), len(pairs[0][1])) <= ASSIGNED:
        return best(_table(pairs))
    found, mutual = partners(pairs)
    rows = np.flatnonzero(mutual)
    return rows, found[rows]


def pair_rows(a: Sequence[Floats], b: Sequence[Floats], signed: bool = False) -> Index:
    """For each unit of the first side its partner on the second, -1 for none, no partner twice, by the sum of
    |cosines| (of cosines, where ``signed``) of their rows.

    ``a`` and ``b`` hold the same kinds of rows, [units, numbers] each: gate's and up's, say. Each other's
    best first, the rest by assignment, up to ``REST`` units. Rows of several times ``COARSE`` numbers have to
    be sketches (``gauge.sketch``): sums of such are sketches again, and cheaper to compare.
    """
    fine = [(unit_rows(x), unit_rows(y)) for x, y in zip(a, b, strict=True)]
    index = np.full(len(a[0]), -1, np.int64)
    short = [(_folded(x), _folded(y)) for x, y in zip(a, b, strict=True)]
    if any(x.shape != y.shape for x, y in zip(short[0], fine[0], strict=True)):
        found, mutual = partners(short, signed)
        some = np.flatnonzero(mutual)
        sums = _along([(x[some], y[found[some]]) for x, y in fine], signed)
        some = some[sums >= CLEAR * len(fine)]
        index[some] = found[some]
    for assign in (False, True):
        left, free = np.flatnonzero(index < 0), np.setdiff1d(np.arange(len(b[0])), index)
        if not len(left) or not len(free):
            break
        some_pairs = [(x[left], y[free]) for x, y in fine]
        if not assign:
            found, mutual = partners(some_pairs, signed)
            index[left[mutual]] = free[found[mutual]]
        elif max(len(left), len(free)) <= REST:
            rows, columns = best(_table(some_pairs, signed))
            index[left[rows]] = free[columns]
    return index


def partners(pairs: Sequence[tuple[Floats, Floats]], signed: bool = False) -> tuple[Index, NDArray[np.bool_]]:
    """The best partner of every row of the first side, by the sum of |products| (of products, where
    ``signed``) over all ``pairs``, and whether each is the other's best. Memory: ``STEP`` times ``WIDE``."""
    units, others = len(pairs[0][0]), len(pairs[0][1])
    found, top = np.zeros(units, np.int64), np.full(units, -np.inf, np.float32)
    back = np.full(others, -np.inf, np.float32)
    for start in range(0, units, STEP):
        for first in range(0, others, WIDE):
            rows, columns = slice(start, start + STEP), slice(first, first + WIDE)
            table = _table([(x[rows], y[columns]) for x, y in pairs], signed)
            places = table.argmax(axis=1)
            values = table[np.arange(len(places)), places]
            better = values > top[rows]
            found[rows][better], top[rows][better] = first + places[better], values[better]
            np.maximum(back[columns], table.max(axis=0), out=back[columns])
    mutual = top >= back[found] if others else np.zeros(units, bool)
    once = np.zeros(units, bool)
    once[np.unique(np.where(mutual, found, -1), return_index=True)[1]] = True
    return found, mutual & once


def best(table: NDArray[Any]) -> tuple[Index, Index]:
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


def _taken(s: Sketch, places: Index) -> Sketch:
    return Sketch(s.near[places], s.far[places], None if s.gate is None else s.gate[places])


def unit_rows(rows: NDArray[Any]) -> Floats:
    """Every row divided by its length; rows of zeros stay."""
    long = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return np.asarray(rows / np.maximum(long, 1e-30)[:, None], np.float32)


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """The cosine of each row with that of the same number."""
    return np.asarray(np.einsum("ij,ij->i", unit_rows(a), unit_rows(b), dtype=np.float64))


def _folded(rows: Floats) -> Floats:
    """Sketches of ``COARSE`` numbers, with length 1."""
    if rows.shape[1] % COARSE:
        return unit_rows(rows)
    return unit_rows(rows.reshape(len(rows), -1, COARSE).sum(axis=1))


def _along(pairs: Sequence[tuple[Floats, Floats]], signed: bool) -> Floats:
    """The sum, over ``pairs``, of the |product| of each row with that of the same number."""
    found = np.zeros(len(pairs[0][0]), np.float32)
    for x, y in pairs:
        part = np.einsum("ij,ij->i", x, y)
        found += part if signed else np.abs(part)
    return found


def _absolute(a: Floats, b: Floats) -> Floats:
    return _table([(unit_rows(a), unit_rows(b))])


def _table(pairs: Sequence[tuple[Floats, Floats]], signed: bool = False) -> Floats:
    """The sum, over ``pairs``, of the |products| of every row with every one of the other side."""
    whole: Floats | None = None
    for x, y in pairs:
        part = x @ y.T
        part = part if signed else np.abs(part, out=part)
        whole = part if whole is None else np.add(whole, part, out=whole)
    assert whole is not None
    return whole


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
