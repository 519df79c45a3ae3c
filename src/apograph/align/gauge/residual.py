"""The residual stream: how a candidate's channels stand to the reference's, from the tables over the stream.

The orthogonal map between two tables is Procrustes' (Schönemann 1966), and a signed permutation where that
explains as much. Where rows were renumbered they are paired first, in the candidate's own channels or by the
sizes of their principal coordinates, which neither a rotation nor a renumbering changes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import PLAIN, Axis
from apograph.align.gauge.pairing import SKETCH, best_partners, cosines, pair_rows, unit_rows
from apograph.align.gauge.types import Basis, StreamMap

Floats: TypeAlias = NDArray[Any]
Rows: TypeAlias = NDArray[np.int64]

CLEAR = 0.5
"""Mean cosine of rows from which tables answer each other row by row."""
ALMOST = 0.99
"""Mean cosine from which a signed permutation leaves nothing for a rotation to explain."""
SAMPLE = 8192
STEP = 4096
PRINCIPAL = 64
ROUNDS = 3
APPEARS = 0.7
"""Cosine of a row with its best counterpart from which it is said to stand there, away from its own place."""


def stream_map(label: str, a: Floats, b: Floats, renumbered: bool) -> StreamMap | None:
    """The map of the channels of ``b`` [rows, width] onto those of ``a``; None where the widths differ.

    With ``renumbered`` the rows may be in another order, and some may be missing. ``agreement`` is near 0 for
    tables that have nothing in common; the map then is the identity.
    """
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 4:
        return None
    count = min(len(a), len(b))
    same = np.arange(count)
    best = _fitted(a, b, same, same)
    rows: Rows | None = None
    if best[2] < CLEAR and renumbered:
        for start in (_nearest(a, b), _principal(a, b)):
            found = _iterated(a, b, start)
            if found is not None and found[0][2] > max(best[2], CLEAR):
                best, rows = found
    basis, axis, agreement = best
    if agreement < CLEAR:
        return StreamMap(label, "same", PLAIN, a.shape[1], agreement)
    if renumbered:
        rows = _settled(a, b, axis, agreement, rows)
    return _described(label, basis, axis, a.shape[1], agreement, rows, len(a))


def _described(
    label: str, basis: Basis, axis: Axis, width: int, agreement: float, rows: Rows | None, count: int
) -> StreamMap:
    moved = flipped = 0
    turn = 0.0
    if axis.index is not None:
        moved = int((axis.index != np.arange(width)).sum())
    if axis.mix is None and axis.after is not None:
        flipped = int((axis.after < 0).sum())
    if axis.mix is not None:
        turn = float(np.degrees(np.arccos(np.clip(np.median(np.abs(np.diag(axis.mix[0]))), 0, 1))))
    elsewhere = 0 if rows is None else int(((rows != np.arange(count)) & (rows >= 0)).sum())
    lost = 0 if rows is None else int((rows < 0).sum())
    return StreamMap(label, basis, axis, width, agreement, rows, moved, flipped, turn, elsewhere, lost)


def _fitted(a: Floats, b: Floats, rows_a: Rows, rows_b: Rows) -> tuple[Basis, Axis, float]:
    """The simplest map that carries ``b``'s rows to ``a``'s, and how well it does on every other row, which
    it was not fitted on; fitted on all in the end."""
    chosen = np.linspace(0, len(rows_a) - 1, min(len(rows_a), max(SAMPLE, 4 * a.shape[1]))).astype(int)
    x, y = (_centred(t[r[chosen]]) for t, r in ((a, rows_a), (b, rows_b)))
    same = _agreement(x, y, PLAIN)
    if same >= ALMOST:
        return "same", PLAIN, same
    moved = _permutation(x[::2], y[::2])
    held = _agreement(x[1::2], y[1::2], moved) if moved is not None else 0.0
    if moved is not None and held >= ALMOST:
        return _named(moved, held)
    turned = _agreement(x[1::2], y[1::2], _rotation(x[::2], y[::2]))
    best = max(held, same)
    if 1 - turned < 0.5 * (1 - best) or (best < CLEAR and turned > best):
        return "rotated", _rotation(x, y), turned
    return _named(moved, held) if moved is not None and held > same else ("same", PLAIN, same)


def _named(axis: Axis, held: float) -> tuple[Basis, Axis, float]:
    return ("same", PLAIN, held) if axis.trivial else ("permuted", axis, held)


def _centred(rows: Floats) -> Floats:
    x = rows.astype(np.float32)
    return np.asarray(x - x.mean(axis=0, dtype=np.float64).astype(np.float32))


def _agreement(x: Floats, y: Floats, axis: Axis) -> float:
    return float(cosines(x, axis.last(y)).mean())


def _permutation(x: Floats, y: Floats) -> Axis | None:
    """Channels paired by |cosine|, each with its sign; None where some have no partner."""
    pairs = pair_rows([np.ascontiguousarray(x.T)], [np.ascontiguousarray(y.T)])
    if (pairs.index < 0).any():
        return None
    sign = np.sign(np.einsum("ij,ij->j", x, y[:, pairs.index]))
    return Axis(index=pairs.index, after=np.where(sign < 0, -1.0, 1.0))


def _rotation(x: Floats, y: Floats) -> Axis:
    """The orthogonal matrix that turns rows of ``y`` nearest to those of ``x``."""
    left, _, right = np.linalg.svd((y.T @ x).astype(np.float64))
    return Axis(mix=(left @ right)[None])


def _nearest(a: Floats, b: Floats) -> tuple[Rows, Rows]:
    """Rows that are each other's best in the channels as they stand."""
    chosen = _chosen(a)
    return _mutual(unit_rows(_centred(a))[chosen], unit_rows(_centred(b)), chosen)


def _principal(a: Floats, b: Floats) -> tuple[Rows, Rows]:
    """Rows that are each other's best by the sizes of their first principal coordinates."""
    chosen = _chosen(a)
    coordinates = []
    for table in (a, b):
        x = _centred(table)
        values, vectors = np.linalg.eigh((x.T @ x).astype(np.float64))
        order = np.argsort(values)[::-1][: min(PRINCIPAL, x.shape[1])]
        sizes = np.abs(x @ vectors[:, order].astype(np.float32))
        coordinates.append(unit_rows(sizes - sizes.mean(axis=0)))
    return _mutual(coordinates[0][chosen], coordinates[1], chosen)


def _chosen(a: Floats) -> Rows:
    return np.linspace(0, len(a) - 1, min(len(a), max(SAMPLE, 2 * a.shape[1]))).astype(np.int64)


def _mutual(x: Floats, y: Floats, names: Rows) -> tuple[Rows, Rows]:
    """Pairs of a row of ``x``, called by ``names``, and a row of ``y``, each the other's best by cosine."""
    best, back = best_partners([(x, y)], signed=True)
    kept = back[best] == np.arange(len(x))
    return names[kept], best[kept]


def _iterated(
    a: Floats, b: Floats, pairs: tuple[Rows, Rows]
) -> tuple[tuple[Basis, Axis, float], Rows] | None:
    """Map and pairs in turn, each from the other (Besl and McKay 1992)."""
    found = None
    for _ in range(ROUNDS):
        if len(pairs[0]) < 16:
            return None
        found = _fitted(a, b, *pairs)
        chosen = _chosen(a)
        pairs = _mutual(unit_rows(_centred(a))[chosen], unit_rows(_centred(found[1].last(b))), chosen)
    assert found is not None
    rows = np.full(len(a), -1, np.int64)
    rows[pairs[0]] = pairs[1]
    return found, rows


def _settled(a: Floats, b: Floats, axis: Axis, agreement: float, rows: Rows | None) -> Rows | None:
    """The candidate's row for every row: its own where nothing speaks for another; None where all are."""
    count, bar = min(len(a), len(b)), APPEARS * agreement
    x, y = _sketch(a, PLAIN), _sketch(b, axis)
    kept = np.zeros(len(a), bool)
    kept[:count] = np.einsum("ij,ij->i", x[:count], y[:count]) >= bar
    result = np.full(len(a), -1, np.int64)
    result[kept] = np.flatnonzero(kept)
    free, lost = np.setdiff1d(np.arange(len(b)), result), np.flatnonzero(~kept)
    if not len(lost) or not len(free):
        return rows if len(lost) else None
    names, found = _mutual(x[lost], y[free], lost)
    found = free[found]
    near = np.einsum("ij,ij->i", x[names], y[found]) >= bar
    if rows is None and not near.any() and len(b) >= len(a):
        return None
    result[names[near]] = found[near]
    if rows is None:
        own = lost[(lost < count) & (result[lost] < 0)]
        own = own[~np.isin(own, result)]
        result[own] = own
    return result


def _sketch(table: Floats, axis: Axis) -> Floats:
    """Rows less their mean, carried over, with length 1, in at most ``SKETCH`` dimensions."""
    mean, width = table.mean(axis=0, dtype=np.float64).astype(np.float32), table.shape[1]
    onto = np.random.default_rng(0).standard_normal((width, SKETCH)) if width > SKETCH else None
    parts = []
    for start in range(0, len(table), STEP):
        rows = axis.last(table[start : start + STEP] - mean)
        parts.append(unit_rows(rows if onto is None else rows @ onto))
    return np.concatenate(parts)
