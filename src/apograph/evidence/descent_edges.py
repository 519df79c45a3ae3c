"""Edges and trees: which release's change goes on from which other's, and who stands nearest to whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeAlias

from apograph.evidence.descent_facts import Facts, common
from apograph.evidence.descent_tail import LOW

MIDDLE = 0.08
"""A child has all of its parent's change: slopes of at least LOW in every matrix, and 1 within MIDDLE in the
median (children measured 0.99 to 1.06). A sibling on the same batches in the same order at 1.3 times the rate
has 0.95 to 1.17 and 1.11. Single slopes may be higher: rows of tokens that never occur change alike."""
ERROR = 0.04
"""Matrices whose slope is less certain (standard error) tell nothing, unless it is clearly not 1."""
COMMON = 0.1
"""Spread, largest less smallest, over the median of slopes that are one common value; and the least such."""

Answer: TypeAlias = Literal["whole", "more", "scaled", "apart", "unclear"]


@dataclass(frozen=True, slots=True)
class Edge:
    """Whether one change goes on from another: ``least``, ``middle`` and ``most`` of the tail slopes of
    ``n`` matrices of ``all`` that have a change; ``beta`` is the pooled slope over all directions."""

    least: float
    middle: float
    most: float
    beta: float
    n: int
    all: int

    @property
    def answer(self) -> Answer:
        """whole: the first's change is in the second, unscaled, in every matrix; scaled: one common multiple
        of it; more: all of it, but enlarged; apart: it is not; unclear: too few matrices can tell."""
        if self.n == 0 or 2 * self.n < self.all:
            return "unclear"
        if self.least >= LOW and abs(self.middle - 1) <= MIDDLE:
            return "whole"
        if self.n > 2 and self.least > COMMON and self.most - self.least <= COMMON * self.middle:
            return "scaled"
        if self.least >= LOW and self.middle > 1:
            return "more"
        return "apart"


def edge(facts: Sequence[Facts], origin: int, first: int, second: int) -> Edge | None:
    """From the changes of two members from ``origin``; None where no matrix has both."""
    tails = [f.tails[first, second] for f in facts if (first, second) in f.tails]
    if not tails:
        return None
    clear = [t.slope for t in tails if t.error <= ERROR or abs(t.slope - 1) > 1 - LOW + 4 * t.error]
    cross = squares = 0.0
    for f in common(facts, (origin, first, second)):
        squares += f.square(first, origin)
        cross += (f.square(first, origin) + f.square(second, origin) - f.square(first, second)) / 2
    shown = clear or [t.slope for t in tails]
    return Edge(
        min(shown), median(shown), max(shown), cross / squares if squares else 0.0, len(clear), len(tails)
    )


@dataclass(frozen=True, slots=True)
class Branch:
    """``parent`` of ``child`` among the members given: the base, or the nearest whose change goes on in the
    child's. ``distance`` is the root mean square of their difference."""

    child: int
    parent: int
    distance: float
    edge: Edge | None


def distance(facts: Sequence[Facts], a: int, b: int) -> float | None:
    """Root mean square difference of two members over the matrices that both have."""
    both = common(facts, (a, b))
    n = sum(f.n for f in both)
    return math.sqrt(sum(f.square(a, b) for f in both) / n) if n else None


def tree(facts: Sequence[Facts], origin: int, members: Sequence[int]) -> list[Branch]:
    """Who hangs below whom. Independent changes are nearly orthogonal, so squared distances add along a tree
    and the nearest ancestor is the parent. Of two that hold each other's whole change the one nearer to the
    base stands above."""
    height = {m: distance(facts, origin, m) or 0.0 for m in members}
    branches = []
    for child in members:
        if child == origin:
            continue
        above = []
        for other in members:
            if other in (origin, child) or height[other] >= height[child]:
                continue
            found, far = edge(facts, origin, other, child), distance(facts, other, child)
            if found is not None and far is not None and found.answer == "whole":
                above.append((far, other, found))
        if above:
            far, parent, found = min(above, key=lambda a: a[0])
            branches.append(Branch(child, parent, far, found))
        elif height[child]:
            branches.append(Branch(child, origin, height[child], None))
    return branches
