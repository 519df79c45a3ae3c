"""Merged models: a change as a sum of several releases' changes, with what the sum leaves unexplained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

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
    moved = gram[np.ix_(chosen, chosen)] - gram[chosen, origin][:, None] - gram[origin, chosen][None, :]
    moved = moved + gram[origin, origin]
    total = float(moved[0, 0])
    if not parts or total <= 1e-14 * max(float(np.abs(np.diag(gram)).max()), 1e-300):
        return None
    coefficients, left = _least(moved, range(1, len(chosen)))
    without = [_least(moved, [n for n in range(1, len(chosen)) if n != k])[1] for k in range(1, len(chosen))]
    return Fit(tuple(coefficients[1:]), left / total, tuple(w / total for w in without))


def _least(moved: Gram, parts: Sequence[int]) -> tuple[list[float], float]:
    """The best coefficients (by place in ``moved``) and the squares left, over every subset of the parts:
    there are few, and a solution whose coefficients are all positive within its subset is a candidate."""
    best, found = float(moved[0, 0]), [0.0] * len(moved)
    for size in range(1, len(parts) + 1):
        for subset in map(list, combinations(parts, size)):
            inner, right = moved[np.ix_(subset, subset)], moved[subset, 0]
            solved = np.linalg.lstsq(inner, right, rcond=1e-10)[0]
            left = float(moved[0, 0] - solved @ right)
            if (solved >= 0).all() and left < best * (1 - 1e-9):
                best, found = left, [0.0] * len(moved)
                for place, c in zip(subset, solved, strict=True):
                    found[place] = float(c)
    return found, max(best, 0.0)


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
