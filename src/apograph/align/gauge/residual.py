"""The residual stream: how a candidate's channels stand to the reference's, from the tables over the stream.

The orthogonal map between two tables is Procrustes' (Schönemann 1966), and a signed permutation where that
explains as much. Where rows were renumbered they are paired first, in the candidate's own channels or by the
sizes of their principal coordinates, which neither a rotation nor a renumbering changes. Rows are sampled, by
their number or, where that may have changed, by their length, which neither changes.

Memory: two samples of max(``SAMPLE``, 4 width) rows, or nine matrices [width, width] in float64 for the
decomposition; sketches of those rows of both tables that do not stand in their own place.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import PLAIN, Axis
from apograph.align.gauge.sketch import onto
from apograph.align.gauge.table import Table
from apograph.align.gauge.types import Basis, StreamMap
from apograph.align.pairing import cosines, pair_rows, partners, unit_rows

Floats: TypeAlias = NDArray[Any]
Rows: TypeAlias = NDArray[np.int64]
Fit: TypeAlias = tuple[Basis, Axis, float]

CLEAR = 0.5
"""Mean cosine of rows from which tables answer each other row by row."""
ALMOST = 0.99
"""Mean cosine from which a signed permutation leaves nothing for a rotation to explain."""
SAMPLE = 8192
HELD = 8
"""One of so many rows takes no part in a fit and says how good it is."""
ROWS, TURNED = 512, 0.03
"""Rows whose inner products are compared on the two sides, and the correlation (of independent ones: 0 within
0.01) below which no rotation is looked for: where a tenth of the rows is paired rightly it is larger."""
PRINCIPAL = 64
ROUNDS = 3
APPEARS = 0.7
"""Cosine of a row with its best counterpart from which it is said to stand there, away from its own place."""


def stream_map(label: str, a: Table, b: Table, renumbered: bool) -> StreamMap | None:
    """The map of the channels of ``b`` onto those of ``a``; None where the widths differ.

    With ``renumbered`` the rows may be in another order, and some may be missing. ``agreement`` is near 0 for
    tables that have nothing in common; the map then is the identity. Raises as ``read``.
    """
    if a.width != b.width or min(a.count, b.count) < 4:
        return None
    count = min(a.count, b.count)
    places = np.linspace(0, count - 1, min(count, max(SAMPLE, 4 * a.width))).astype(np.int64)
    best = _fitted((a, b), (places, places))
    moved = False
    if best[2] < CLEAR and renumbered:
        x, y = (_centred(t.rows(_longest(t))) for t in (a, b))
        for start in (_nearest(x, y), _principal(x, y)):
            found = _iterated(x, y, start)
            if found is not None and found[2] > max(best[2], CLEAR):
                best, moved = found, True
    basis, axis, agreement = best
    if agreement < CLEAR:
        return StreamMap(label, "same", PLAIN, a.width, agreement)
    rows = _settled((a, b), axis, agreement, moved) if renumbered else None
    return _described(label, basis, axis, a.width, agreement, rows, a.count)


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


def _longest(table: Table) -> Rows:
    """The rows that are farthest from the mean of all: a renumbering or a rotation leaves them the same."""
    most = max(SAMPLE, 2 * table.width)
    if table.count <= most:
        return np.arange(table.count)
    mean = table.mean()
    long = np.concatenate([((table.rows(some) - mean) ** 2).sum(axis=1) for some in table.blocks()])
    return np.sort(np.argpartition(-long, most)[:most])


def _fitted(tables: tuple[Table, Table], places: tuple[Rows, Rows]) -> Fit:
    """The simplest map that carries rows of the second table to those of the first, and the mean cosine that
    it reaches on one row in ``HELD``, which it was not fitted on."""
    held = np.arange(len(places[0])) % HELD == HELD - 1
    held[-1] = True
    (x, y), tests = ([t.rows(p[some]) for t, p in zip(tables, places, strict=True)] for some in (~held, held))
    for rows, test in zip((x, y), tests, strict=True):
        mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        rows -= mean
        test -= mean
    same = _agreement(tests, PLAIN)
    if same >= ALMOST:
        return "same", PLAIN, same
    moved = _permutation(x, y)
    reached = _agreement(tests, moved) if moved is not None else 0.0
    if moved is not None and reached >= ALMOST:
        return _named(moved, reached)
    if _answers(x[:ROWS], y[:ROWS]):
        cross = y.T @ x
        del x, y, rows  # before the decomposition, which needs as much
        rotation = _rotation(cross)
        turned, best = _agreement(tests, rotation), max(reached, same)
        if 1 - turned < 0.5 * (1 - best) or (best < CLEAR and turned > best):
            return "rotated", rotation, turned
    return _named(moved, reached) if moved is not None and reached > same else ("same", PLAIN, same)


def _named(axis: Axis, reached: float) -> Fit:
    return ("same", PLAIN, reached) if axis.trivial else ("permuted", axis, reached)


def _centred(rows: Floats) -> Floats:
    """The rows less their mean, in place."""
    rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return rows


def _agreement(tests: Sequence[Floats], axis: Axis) -> float:
    return float(cosines(tests[0], axis.last(tests[1])).mean())


def _permutation(x: Floats, y: Floats) -> Axis | None:
    """Channels paired by |cosine|, each with its sign; None where some have no partner."""
    sums = onto(len(x))
    both = np.zeros((2, sums.places.shape[1], x.shape[1]), np.float32)
    for made, rows in zip(both, (x, y), strict=True):
        sums.add(made, rows)
    one, other = both[0].T, both[1].T
    index = pair_rows([one], [other])
    if (index < 0).any():
        return None
    sign = np.sign(np.einsum("ij,ij->i", one, other[index]))
    return Axis(index=index, after=np.where(sign < 0, -1.0, 1.0))


def _answers(x: Floats, y: Floats) -> bool:
    """Whether the rows' inner products, which no rotation changes, go together at all."""
    above = np.triu_indices(len(x), 1)
    one, other = ((t @ t.T)[above].astype(np.float64) for t in (x, y))
    return float(one @ other) >= TURNED * float(np.linalg.norm(one) * np.linalg.norm(other))


def _rotation(cross: Floats) -> Axis:
    """The orthogonal matrix that turns one table's rows nearest to the other's, of their product
    [channels, channels]."""
    left, _, right = np.linalg.svd(cross.astype(np.float64))
    return Axis(mix=(left @ right)[None])


def _nearest(x: Floats, y: Floats) -> tuple[Rows, Rows]:
    """Rows that are each other's best in the channels as they stand."""
    return _mutual(unit_rows(x), unit_rows(y))


def _principal(x: Floats, y: Floats) -> tuple[Rows, Rows]:
    """Rows that are each other's best by the sizes of their first principal coordinates."""
    from scipy.linalg import eigh

    coordinates = []
    for rows in (x, y):
        width = rows.shape[1]
        first = max(width - PRINCIPAL, 0), width - 1
        vectors = eigh((rows.T @ rows).astype(np.float64), subset_by_index=first)[1][:, ::-1]
        sizes = np.abs(rows @ vectors.astype(np.float32))
        coordinates.append(unit_rows(sizes - sizes.mean(axis=0)))
    return _mutual(*coordinates)


def _mutual(x: Floats, y: Floats) -> tuple[Rows, Rows]:
    """Pairs of rows, each the other's best by cosine."""
    best, mutual = partners([(x, y)], signed=True)
    return np.flatnonzero(mutual), best[mutual]


def _iterated(x: Floats, y: Floats, pairs: tuple[Rows, Rows]) -> Fit | None:
    """Map and pairs in turn, each from the other (Besl and McKay 1992)."""
    found: Fit | None = None
    for _ in range(ROUNDS):
        if len(pairs[0]) < 16:
            return None
        found = _fitted((Table(len(x), x.shape[1], x), Table(len(y), y.shape[1], y)), pairs)
        pairs = _nearest(x, found[1].last(y))
    return found


def _settled(tables: tuple[Table, Table], axis: Axis, agreement: float, moved: bool) -> Rows | None:
    """The candidate's row for every row: its own where nothing speaks for another, unless they were
    ``moved``; None where all are. Nearer than ``APPEARS`` times what is usual is another row's partner."""
    a, b = tables
    bar, count = APPEARS * agreement, min(a.count, b.count)
    maps = onto(a.width), onto(a.width, axis)
    means = [m.rows(t.mean(SAMPLE)[None])[0] for t, m in zip(tables, maps, strict=True)]

    def sketched(side: int, places: Rows) -> Floats:
        return unit_rows(maps[side].rows(tables[side].rows(places)) - means[side])

    result = np.full(a.count, -1, np.int64)
    for some in a.blocks():
        both = some[some < count]
        if len(both):
            with ThreadPoolExecutor(2) as pool:
                x, y = pool.map(sketched, (0, 1), (both, both))
            stays = np.einsum("ij,ij->i", x, y) >= bar
            result[both[stays]] = both[stays]
    lost, free = np.flatnonzero(result < 0), np.setdiff1d(np.arange(b.count), result)
    if not len(lost):
        return None
    if len(free):
        x, y = (
            np.concatenate([sketched(side, some) for some in tables[side].blocks(places)])
            for side, places in enumerate((lost, free))
        )
        index = pair_rows([x], [y], signed=True)
        found = np.flatnonzero(index >= 0)
        near = found[np.einsum("ij,ij->i", x[found], y[index[found]]) >= bar]
        if not moved and not len(near) and b.count >= a.count:
            return None
        result[lost[near]] = free[index[near]]
    if not moved:
        own = lost[(lost < count) & (result[lost] < 0)]
        own = own[~np.isin(own, result)]
        result[own] = own
    return result
