"""Merged models: a change as a sum of several releases' changes, with what the sum leaves unexplained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

UNEXPLAINED = 0.1
"""Coefficients count only if at most this share of the squared change is left: a sibling alone left 0.49."""
LEAST = 0.05
"""The smallest coefficient that counts as a part."""
NEEDED = 2.0
"""How many times more is left unexplained when a part is taken away, if it is one."""

PART = 0.1
"""Share of the squared change in whose matrices a part has to be needed."""
EXACT = 0.02
"""What may be left unexplained of one matrix's distance to the nearest release (SLERP leaves 0.009), or of a
whole change where a part holds all of it, as a descendant of it would."""
NEEDLESS = 0.05
"""A part without which no more than this share of that distance is left is not needed in the matrix."""
AS_GOOD = 0.01
"""Share of the squared change up to which a sum without the other side explains as much as one with it."""

Gram = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fit:
    """``coefficients`` of the parts, never negative, and the share of the target's squared change that they
    leave ``unexplained``; ``without`` is that share when the part is taken away."""

    coefficients: tuple[float, ...]
    unexplained: float
    without: tuple[float, ...]

    @property
    def counts(self) -> bool:
        """Whether the parts explain the target and at least one of them is needed."""
        return self.unexplained <= UNEXPLAINED and any(self.needed)

    @property
    def needed(self) -> tuple[bool, ...]:
        """For each part, whether it has a coefficient that counts and much is left without it."""
        least = max(NEEDED * self.unexplained, self.unexplained + 0.01)
        return tuple(c >= LEAST and w >= least for c, w in zip(self.coefficients, self.without, strict=True))


def fit(gram: Gram, target: int, origin: int, parts: Sequence[int]) -> Fit | None:
    """Non-negative least squares of X[target] - X[origin] on X[part] - X[origin].

    ``gram`` [members, members] holds the inner products of the members' weights, each minus those of one
    fixed member. With a common base as origin the coefficients are those of task arithmetic (Ilharco et al.
    2022); with one of the parents as origin the others' coefficients c make a linear merge, the origin's own
    being 1 - sum c. None where the target does not differ from the origin.
    """
    chosen = [target, *parts]
    moved = _moved(gram, origin, chosen)
    total = float(moved[0, 0])
    if not parts or total <= 1e-14 * max(float(np.abs(np.diag(gram)).max()), 1e-300):
        return None
    coefficients, left = _least(moved, range(1, len(chosen)))
    without = [_least(moved, [n for n in range(1, len(chosen)) if n != k])[1] for k in range(1, len(chosen))]
    return Fit(tuple(coefficients[1:]), left / total, tuple(w / total for w in without))


def _moved(gram: Gram, origin: int, chosen: Sequence[int]) -> Gram:
    """Inner products of the chosen members' changes from the origin."""
    moved: Gram = gram[np.ix_(chosen, chosen)] - gram[chosen, origin][:, None] - gram[origin, chosen][None, :]
    moved += gram[origin, origin]
    return moved


def _least(moved: Gram, parts: Sequence[int]) -> tuple[list[float], float]:
    """The best coefficients (by place in ``moved``) and the squares left (Lawson and Hanson's method on a
    square root of the Gram matrix)."""
    from scipy.optimize import nnls

    found = [0.0] * len(moved)
    if not parts:
        return found, float(moved[0, 0])
    inner, right = moved[np.ix_(parts, parts)], moved[list(parts), 0]
    values, vectors = np.linalg.eigh(inner)
    kept = values > 1e-12 * max(float(values[-1]), 1e-300)
    roots = np.sqrt(values[kept])
    solved = nnls(roots[:, None] * vectors[:, kept].T, vectors[:, kept].T @ right / roots)[0]
    for place, c in zip(parts, solved, strict=True):
        found[place] = float(c)
    return found, max(float(moved[0, 0] - 2 * solved @ right + solved @ inner @ solved), 0.0)


Shares: TypeAlias = dict[int, float]


def total_of(gram: Gram, target: int, origin: int, parts: Sequence[int]) -> tuple[Shares, float]:
    """The fit's coefficients by member, the origin's with them, so that they add up to 1; and the squares
    that are left."""
    moved = _moved(gram, origin, [target, *parts])
    coefficients, left = _least(moved, range(1, len(moved)))
    shares = dict(zip(parts, coefficients[1:], strict=True))
    return shares | {origin: 1 - sum(coefficients)}, left


def freely(gram: Gram, target: int, members: Sequence[int]) -> tuple[Shares, float]:
    """The best of these fits with any of the members as origin; there has to be one."""
    fits = [total_of(gram, target, o, [n for n in members if n != o]) for o in members]
    return min(fits, key=lambda f: f[1])


def combination(gram: Gram, target: int, other: int, origin: int | None, rounded: Gram) -> Shares | None:
    """One matrix of ``target`` as a sum of ``other`` and further members: their coefficients, which add up to
    1. None unless nearly nothing is left of the distance to the nearest of them, and both the other side
    and a further member are needed. ``rounded`` [members]: the squares that each one's storage type rounds
    away."""
    members = [int(n) for n in np.flatnonzero(~np.isnan(np.diag(gram))) if n != target]
    if other not in members or len(members) < 2:
        return None
    start = origin if origin in members and origin is not None else other
    shares, left = total_of(gram, target, start, [n for n in members if n != start])
    nearest = min(float(_moved(gram, n, [target])[0, 0]) for n in members)
    rounding = rounded[target] + sum(c * c * rounded[n] for n, c in shares.items())
    if nearest <= 0 or not explained(left, nearest, rounding):
        return None
    enough = max(NEEDED * left, NEEDLESS * nearest)
    needed = {
        m
        for m, c in shares.items()
        if c >= LEAST and freely(gram, target, [n for n in members if n != m])[1] >= enough
    }
    return shares if other in needed and len(needed) > 1 else None


def explained(left: float, nearest: float, rounding: float) -> bool:
    """Whether these squares are next to nothing of the distance to the nearest release, beyond rounding."""
    return left <= min(UNEXPLAINED * nearest, EXACT * nearest + rounding)


def spanned(gram: Gram, target: int, sources: Sequence[int], rounded: Gram) -> bool:
    """Whether a matrix is a sum of the sources', with coefficients of any sign that add up to 1, and has
    next to nothing of its own."""
    there = [n for n in sources if not np.isnan(gram[n, n])]
    if not there or np.isnan(gram[target, target]):
        return False
    nearest = min(float(_moved(gram, n, [target])[0, 0]) for n in there)
    moved = _moved(gram, there[0], [target, *there[1:]])
    inner, right = moved[1:, 1:], moved[1:, 0]
    solved = np.linalg.lstsq(inner, right, rcond=1e-12)[0] if len(right) else right
    left = float(moved[0, 0] - right @ solved)
    rounding = rounded[target] + float(solved**2 @ rounded[there[1:]])
    rounding += (1 - float(solved.sum())) ** 2 * rounded[there[0]]
    return nearest <= 0 or explained(left, nearest, rounding)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Over all matrices: the mean of each part's coefficient, weighted by the squared change of the target,
    with its 95 % interval over matrices, the smallest and the largest; the share of all squared change that
    the fits matrix by matrix leave; ``needed`` in matrices
    that hold at least ``PART`` of the squared change (a merge may take whole layers from either parent)."""

    means: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    ranges: tuple[tuple[float, float], ...]
    unexplained: float
    needed: tuple[bool, ...]
    n: int


def pooled(fits: Sequence[Fit], squares: Sequence[float]) -> Pooled:
    """``squares`` are the target's squared changes, by matrix."""
    weights = np.asarray(squares) / sum(squares)
    table = np.array([f.coefficients for f in fits])
    means = weights @ table
    spread = np.sqrt(weights**2 @ (table - means) ** 2) * math.sqrt(len(fits) / max(len(fits) - 1, 1))
    share = weights @ np.array([f.needed for f in fits], float)
    return Pooled(
        means=tuple(map(float, means)),
        intervals=tuple(
            (float(m - 1.96 * s), float(m + 1.96 * s)) for m, s in zip(means, spread, strict=True)
        ),
        ranges=tuple((float(lo), float(hi)) for lo, hi in zip(table.min(0), table.max(0), strict=True)),
        unexplained=float(weights @ np.array([f.unexplained for f in fits])),
        needed=tuple(bool(s >= PART) for s in share),
        n=len(fits),
    )
