"""What is measured of a family, matrix by matrix: inner products of its members, tail slopes from a base."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, permutations

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.descent_family import CANDIDATE, REFERENCE, Family, Matrix
from apograph.evidence.descent_tail import LOW, Change, Tail
from apograph.evidence.rounded import KINDS, rounded

TRIED = 8
"""Matrices by which the nearest base is chosen."""
REDUCED = 0.75
"""Share of the directions that matrices could have, below which they were reduced to a low rank."""
CELLS, RANGE = 32, 4
"""Cells into which a standard deviation of the base's values is cut, and standard deviations that are."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one matrix: ``n`` sampled elements; ``gram`` [members, members] the inner products of the members'
    weights less the reference's, NaN where a member has no such matrix; ``tails`` the slope of the second
    member's change from the base on the first's, by their numbers; ``rounded`` [members] the squares that
    each one's storage type rounds away."""

    name: str
    n: int
    gram: NDArray[np.float64]
    tails: Mapping[tuple[int, int], Tail]
    rounded: NDArray[np.float64]

    @property
    def present(self) -> tuple[int, ...]:
        """The members that have this matrix."""
        return tuple(int(n) for n in np.flatnonzero(~np.isnan(np.diag(self.gram))))

    def square(self, a: int, b: int) -> float:
        """The squared distance of two members; NaN where one is absent."""
        g = self.gram
        return float(max(g[a, a] + g[b, b] - 2 * g[a, b], 0.0)) if a != b else 0.0


def nearest_base(family: Family) -> int | None:
    """The base, by its number, that has the least squared distances to both sides in some matrices."""
    bases = family.numbers("base")
    seen = [_gram(matrix, len(family.members)) for matrix in islice(family.matrices(), TRIED)]
    facts = [Facts("", 0, gram, {}, np.zeros(len(gram))) for gram in seen]
    sums = {}
    for base in bases:
        own = [f for f in facts if base in f.present]
        if len(own) * 2 > len(facts):
            squares = [f.square(REFERENCE, base) + f.square(CANDIDATE, base) for f in own]
            sums[base] = sum(squares) / len(squares)
    return min(sums, key=lambda base: sums[base]) if sums else None


def measured(family: Family, origin: int | None) -> list[Facts]:
    """The facts of every matrix, each read once; tails where ``origin``, a base, has the matrix."""
    return [_facts(matrix, len(family.members), origin) for matrix in family.matrices()]


def _facts(matrix: Matrix, members: int, origin: int | None) -> Facts:
    gram, tails = _gram(matrix, members), {}
    if origin is not None and origin in matrix.rows and not _reduced(matrix, origin):
        base = _start(matrix, origin)
        changes = {n: x - base for n, x in matrix.rows.items() if n != origin}
        changes = {n: d for n, d in changes.items() if _holds(d, base)}
        rounded = {n: matrix.rounding[n] + matrix.rounding[origin] for n in changes}
        tails = _tails(changes, rounded)
        if any(tail.slope >= LOW for tail in tails.values()):
            beyond = dict(zip(changes, _beyond(list(changes.values()), base, _kept(matrix)), strict=True))
            left = _tails(beyond, rounded)
            tails = {way: t for way, t in tails.items() if t.slope < LOW or way in left}
            tails |= {way: left[way] for way, t in tails.items() if t.slope >= LOW > left[way].slope}
    size = matrix.rows[REFERENCE].size
    lost = np.array([size * matrix.rounding.get(n, 0.0) for n in range(members)])
    return Facts(matrix.name, size, gram, tails, lost)


def _tails(
    changes: Mapping[int, NDArray[np.float64]], rounded: Mapping[int, float]
) -> dict[tuple[int, int], Tail]:
    split = {n: Change(d, rounded[n]) for n, d in changes.items() if d.any()}
    found = {(u, v): split[u].tail(changes[v]) for u, v in permutations(split, 2)}
    return {way: tail for way, tail in found.items() if tail is not None}


def _reduced(matrix: Matrix, origin: int) -> bool:
    """Whether both sides lack directions that the base has. Siblings that were reduced to a low rank share
    what that took away, as if one came from the other."""
    sides = [n for n in (REFERENCE, CANDIDATE) if n in matrix.rows]
    least = REDUCED * min(matrix.rows[origin].shape)
    return least > 0 and all(_rank(matrix, n) < least for n in sides) and _rank(matrix, origin) >= least


def _rank(matrix: Matrix, number: int) -> int:
    """Directions of a member's rows that stand out of what rounding leaves."""
    rows = matrix.rows[number]
    rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
    squares = np.linalg.eigvalsh(rows @ rows.T)
    edge = matrix.rounding[number] * (math.sqrt(rows.shape[0]) + math.sqrt(rows.shape[1])) ** 2
    return int((squares > max(1.1 * edge, 1e-12 * float(squares[-1]))).sum())


def _start(matrix: Matrix, origin: int) -> NDArray[np.float64]:
    """The base's rows as they are, or as a coarser type would hold them if both sides are nearer to that:
    siblings that were trained in it share the rounding, in every direction, as if one came from the other."""
    base = matrix.rows[origin]
    sides = [matrix.rows[n] for n in (REFERENCE, CANDIDATE) if n in matrix.rows]

    def distance(rows: NDArray[np.float64]) -> float:
        return max(float(((x - rows) ** 2).sum() / max(((x - base) ** 2).sum(), 1e-300)) for x in sides)

    middle = np.mean(sides, axis=0)
    return min((base, *(rounded(base, kind, middle) for kind in KINDS)), key=distance)


def _kept(matrix: Matrix) -> NDArray[np.bool_]:
    """What neither side has cut away: zeros say nothing of what was learned there."""
    sides = [matrix.rows[n] for n in (REFERENCE, CANDIDATE) if n in matrix.rows]
    found: NDArray[np.bool_] = np.all([x != 0 for x in sides], axis=0)
    return found


def _beyond(
    changes: Sequence[NDArray[np.float64]], base: NDArray[np.float64], kept: NDArray[np.bool_]
) -> list[NDArray[np.float64]]:
    """Changes [rows, columns] without what is a function of the base's values alone, 0 where nothing was
    ``kept``. Siblings that were both scaled, clipped or pruned share all of that, as if one came from the
    other."""
    own = base[kept]
    square = float(own @ own)
    if square == 0:
        return [d * kept for d in changes]
    top = RANGE * CELLS
    cell = np.clip(own * (CELLS / math.sqrt(square / own.size)), -top, top).astype(np.int64) + top
    count = np.maximum(np.bincount(cell), 1)
    found = []
    for d in changes:
        left = d[kept] - float(d[kept] @ own) / square * own
        whole = np.zeros(d.shape)
        whole[kept] = left - (np.bincount(cell, left) / count)[cell]
        found.append(whole)
    return found


def _holds(change: NDArray[np.float64], base: NDArray[np.float64]) -> bool:
    """Whether a member still has the base, at half to one and a half times its size. Two strangers' changes
    from a third both have all of it taken away, and two siblings' from a scaled base both have the same part
    of it: they would seem to share a change."""
    return abs(float((change * base).sum())) <= 0.5 * float((base * base).sum())


def _gram(matrix: Matrix, members: int) -> NDArray[np.float64]:
    gram = np.full((members, members), np.nan)
    own = matrix.rows[REFERENCE]
    moved = {n: (x - own).ravel() for n, x in matrix.rows.items()}
    for a, x in moved.items():
        for b, y in moved.items():
            gram[a, b] = gram[b, a] = float(x @ y) if a <= b else gram[a, b]
    return gram


def common(facts: Sequence[Facts], members: Sequence[int]) -> list[Facts]:
    """Those of matrices that all these members have."""
    return [f for f in facts if set(members) <= set(f.present)]
