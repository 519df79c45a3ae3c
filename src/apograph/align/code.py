"""Matching of two releases' Python: which function of one answers which of the other, and how far.

A pair's similarity is 1 when the two are equal up to the author's own names, comments, formatting,
annotations and docstrings; coverage is kept apart for both sides, since a copy may be a part of something
larger or leave much out.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from apograph.align.code_background import UNIT
from apograph.align.code_pair import Alignment, NameMap, Pair, align, name_map
from apograph.align.code_trees import CodeTree, total_bits

CANDIDATES = 6
"""Units of the other side that are aligned in full with each unit."""
MIN_BITS = 24.0
"""Shared bits below which a pair of units is not worth naming: a line or two of ordinary code."""
MIN_PART = 24.0
"""Shared bits from which a second partner of a unit is named (an inlined, split or merged function)."""
_COMMON = 200
Credits: TypeAlias = dict[CodeTree, list[float]]
"""For units the credit of each node."""


@dataclass(slots=True, eq=False)
class UnitMatch:
    """Two units that answer each other. ``part``: a second partner of a unit that has a better one."""

    alignment: Alignment
    part: bool
    similarity: float
    left_coverage: float
    right_coverage: float
    bits: float

    @property
    def left(self) -> CodeTree:
        """The left side's unit."""
        return self.alignment.left

    @property
    def right(self) -> CodeTree:
        """The right side's unit."""
        return self.alignment.right

    def names(self) -> NameMap:
        """The renaming that this pair shows."""
        return name_map([self.alignment])

    def lines(self) -> list[tuple[int, int]]:
        """Pairs of lines that answer each other, by weight of what they share; each left line once."""
        return line_pairs(self.alignment)


def unit_match(alignment: Alignment) -> UnitMatch:
    """An alignment of two whole units with its figures."""
    return UnitMatch(alignment, False, alignment.similarity, *alignment.coverage, alignment.shared)


@dataclass(eq=False)
class CodeMatch:
    """All matched units of two sets and what they cover; coverage counts every node once. ``small`` are equal
    units that say too little to be named; they count for coverage only."""

    left: tuple[CodeTree, ...]
    right: tuple[CodeTree, ...]
    matches: tuple[UnitMatch, ...]
    small: tuple[UnitMatch, ...] = ()

    @cached_property
    def credits(self) -> tuple[Credits, Credits]:
        """For each unit of either side the best credit of each of its nodes."""
        found: tuple[Credits, Credits] = ({}, {})
        for matched in (*self.matches, *self.small):
            _credit(matched.alignment, *found)
        return found

    @property
    def coverage(self) -> tuple[float, float]:
        """The shares of what each side says that the other side says too."""
        sides = zip(self.credits, (self.left, self.right), strict=True)
        left, right = (
            (weigh(credits) / total_bits(units) if total_bits(units) else 0.0) for credits, units in sides
        )
        return left, right


def weigh(credits: Credits) -> float:
    """Bits of the nodes, each by its credit."""
    return sum(c * w for t, cs in credits.items() for c, w in zip(cs, t.weight, strict=True)) / UNIT


class Index:
    """Units that can be looked up by what they share with another."""

    def __init__(self, units: Iterable[CodeTree]) -> None:
        self.units = tuple(units)
        self._bearers: defaultdict[int, list[int]] = defaultdict(list)
        for number, unit in enumerate(self.units):
            for label in unit.features:
                self._bearers[label].append(number)
        self.subtrees = frozenset(
            h for t in self.units for h, s in zip(t.full, t.shape.size, strict=True) if s >= 4
        )
        """Hashes of all subtrees of at least four operations."""

    def nearest(self, unit: CodeTree, count: int = CANDIDATES) -> list[CodeTree]:
        """The units that share most with ``unit``, by weight of common labels and by share of their own."""
        shared: defaultdict[int, int] = defaultdict(int)
        for label, weight in unit.features.items():
            bearers = self._bearers.get(label, ())
            if len(bearers) <= _COMMON:
                for number in bearers:
                    shared[number] += weight
        scores = [(w * w / (unit.total + self.units[n].total), -n) for n, w in shared.items()]
        best = heapq.nlargest(count, scores)
        most = heapq.nlargest(2, ((w, -n) for n, w in shared.items()))
        return [self.units[-n] for n in dict.fromkeys(n for _, n in [*best, *most])]


def match(left: Sequence[CodeTree], right: Sequence[CodeTree]) -> CodeMatch:
    """Match two sets of units: one to one by shared bits and similarity, then what is left of a unit to
    further partners, for functions that were inlined, split or merged."""
    index, back = Index(right), Index(left)
    candidates: dict[tuple[CodeTree, CodeTree], Alignment] = {}
    for unit in left:
        for other in index.nearest(unit):
            candidates[unit, other] = align(unit, other)
    for other in right:
        for unit in back.nearest(other):
            if (unit, other) not in candidates:
                candidates[unit, other] = align(unit, other)
    for unit, other in _equal(left, right):
        if (unit, other) not in candidates:
            candidates[unit, other] = align(unit, other)
    found = [unit_match(a) for a in candidates.values()]
    place = {t: n for n, t in enumerate(left)} | {t: n for n, t in enumerate(right)}
    found = sorted(
        (m for m in found if m.bits >= MIN_BITS),
        key=lambda m: (
            -m.bits * m.similarity,
            m.left.unit.name != m.right.unit.name,
            place[m.left] + place[m.right],
            place[m.left],
        ),
    )
    taken: set[CodeTree] = set()
    chosen: list[UnitMatch] = []
    for m in found:
        if m.left not in taken and m.right not in taken:
            taken |= {m.left, m.right}
            chosen.append(m)
    chosen += _parts(CodeMatch(tuple(left), tuple(right), tuple(chosen)), list(candidates.values()))
    return CodeMatch(tuple(left), tuple(right), tuple(chosen), _small(left, right, taken))


def _small(
    left: Sequence[CodeTree], right: Sequence[CodeTree], taken: set[CodeTree]
) -> tuple[UnitMatch, ...]:
    """Units below ``MIN_BITS`` that are equal."""
    rest = ([t for t in side if t not in taken and t.bits < MIN_BITS] for side in (left, right))
    return tuple(unit_match(align(a, b)) for a, b in _equal(*rest))


def _equal(left: Iterable[CodeTree], right: Iterable[CodeTree]) -> list[tuple[CodeTree, CodeTree]]:
    """Units that are equal up to names, one to one, those of one name first."""
    free: defaultdict[int, list[CodeTree]] = defaultdict(list)
    for other in right:
        free[other.full[-1]].append(other)
    found: list[tuple[CodeTree, CodeTree]] = []
    for named in (True, False):
        rest = []
        for unit in left:
            same = [o for o in free.get(unit.full[-1], ()) if not named or o.unit.name == unit.unit.name]
            if same:
                free[unit.full[-1]].remove(same[0])
                found.append((unit, same[0]))
            else:
                rest.append(unit)
        left = rest
    return found


def _parts(primary: CodeMatch, candidates: list[Alignment]) -> list[UnitMatch]:
    """Second partners: alignments that explain at least ``MIN_PART`` bits which the first ones left over."""
    best_left, best_right = primary.credits
    done = {(m.left, m.right) for m in primary.matches}
    found: list[UnitMatch] = []
    for a in sorted(candidates, key=lambda a: -a.shared):
        if (a.left, a.right) in done or a.shared < MIN_PART:
            continue
        extra_left = _rest(a, best_left.get(a.left), 0)
        extra_right = _rest(a, best_right.get(a.right), 1)
        pairs = max((extra_left, extra_right), key=lambda p: _bits(a, p))
        gained = _bits(a, pairs)
        if gained < MIN_PART:
            continue
        part = Alignment(a.left, a.right, pairs)
        left, right = part.coverage
        if max(left, right) < 0.3:
            continue
        found.append(UnitMatch(part, True, part.similarity, left, right, gained))
        _credit(part, best_left, best_right)
    return found


def _credit(a: Alignment, left: Credits, right: Credits) -> None:
    """Note the best credit of every node of the two units."""
    on_left = left.setdefault(a.left, [0.0] * len(a.left.full))
    on_right = right.setdefault(a.right, [0.0] * len(a.right.full))
    for i, j, credit in a.pairs:
        on_left[i] = max(on_left[i], credit)
        on_right[j] = max(on_right[j], credit)


def _rest(a: Alignment, best: list[float] | None, place: Literal[0, 1]) -> list[Pair]:
    return a.pairs if best is None else [p for p in a.pairs if p[2] > best[p[place]]]


def _bits(a: Alignment, pairs: list[Pair]) -> float:
    return sum(c * min(a.left.weight[i], a.right.weight[j]) for i, j, c in pairs) / UNIT


def line_pairs(alignment: Alignment) -> list[tuple[int, int]]:
    """Pairs of lines (left, right), each left line with the right line that answers most of it."""
    votes: defaultdict[int, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    a, b = alignment.left, alignment.right
    for i, j, credit in alignment.pairs:
        votes[a.shape.lines[i]][b.shape.lines[j]] += 1e-3 + credit * (a.weight[i] + b.weight[j])
    return sorted((line, max(v, key=lambda r: (v[r], -r))) for line, v in votes.items() if line)


@dataclass(frozen=True, slots=True)
class FileMatch:
    """Two sources compared: ``left`` and ``right`` are the coverage of each side, ``bits`` what is shared,
    and ``score`` in [0, 1] (1: equal up to names; weight of what is shared over the weight of both)."""

    left: float
    right: float
    bits: float
    score: float


def compare_units(left: Sequence[CodeTree], right: Sequence[CodeTree]) -> FileMatch:
    """How far two sources say the same, function by function."""
    found = match(left, right)
    cover_left, cover_right = found.coverage
    bits_left, bits_right = total_bits(left), total_bits(right)
    both = bits_left + bits_right
    score = (cover_left * bits_left + cover_right * bits_right) / both if both else 0.0
    return FileMatch(cover_left, cover_right, sum(m.bits for m in found.matches), score)
