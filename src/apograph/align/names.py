"""The map between the tensor names of two releases, as renaming rules.

Names are free choices: a map says how one set of names becomes the other, never that one came from the other.
From an index alone (names without shapes) or from headers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from apograph.align.name_families import Family, Segments, axes, axes_of, families, is_mark
from apograph.align.name_match import How, Pair, match_families
from apograph.align.name_rules import learn
from apograph.release.types import Tensors

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern_from`` is rewritten to ``pattern_to`` in the names of ``count`` tensors. ``*`` stands for
    any segments, ``{n}`` for a number. ``pairs`` are places in ``Renaming.pairs``;
    how as in ``name_match.Pair``."""

    pattern_from: str
    pattern_to: str
    count: int
    examples: tuple[tuple[str, str], ...]
    how: How
    pairs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Renaming:
    """``pairs`` of names (reference, candidate) in the order of the reference. A tensor counts under every
    rule that its name needs. ``ordered``: the candidate lists the pairs in the same order;
    ``order_correlation`` is Spearman's (None below two pairs). ``sizes_equal`` compares the total sizes in
    bytes, ``shapes_equal`` counts pairs of equal shape (None when not known). ``uncertain`` pairs rest on
    structure and order alone."""

    rules: tuple[Rule, ...]
    pairs: tuple[tuple[str, str], ...]
    unmatched_reference: tuple[str, ...]
    unmatched_candidate: tuple[str, ...]
    ordered: bool
    order_correlation: float | None
    sizes_equal: bool | None
    shapes_equal: int | None
    uncertain: int

    @property
    def complete(self) -> bool:
        """Whether every tensor of both sides has its counterpart."""
        return not self.unmatched_reference and not self.unmatched_candidate


@dataclass(frozen=True, slots=True)
class _Paired:
    """Two families with the pairs of positions, and their names with the offsets between numbers marked."""

    how: How
    positions: tuple[tuple[int, int], ...]
    names: tuple[Segments, Segments]


def renaming(reference: Tensors, candidate: Tensors) -> Renaming:
    """The renaming rules between two checkpoints: deterministic, and the inverse when the sides are swapped.

    Whole families of names are paired (``name_match``), then numbers within them: equal where both sides use
    the same numbers, by rank where one side was renumbered. Which layer was dropped is not to be seen in
    names alone: the numbers that both sides have answer each other.
    """
    sides = reference.entries, candidate.entries
    found_a, found_b = families(sides[0]), families(sides[1])
    shapes_a, shapes_b = ({n: entry.shape for n, entry in enumerate(entries)} for entries in sides)
    numbers = _Numbers(axes(found_a), axes(found_b))
    paired = [numbers.pair(p) for p in match_families(found_a, found_b, (shapes_a, shapes_b))]
    paired = [p for p in paired if p.positions]
    positions = sorted(q for p in paired for q in p.positions)
    known = [
        (shapes_a[i], shapes_b[j])
        for i, j in positions
        if shapes_a[i] is not None and shapes_b[j] is not None
    ]
    used_a, used_b = {i for i, _ in positions}, {j for _, j in positions}
    both_sizes = reference.total_size is not None and candidate.total_size is not None
    return Renaming(
        rules=_rules(paired, reference, candidate),
        pairs=tuple((sides[0][i].name, sides[1][j].name) for i, j in positions),
        unmatched_reference=tuple(e.name for n, e in enumerate(sides[0]) if n not in used_a),
        unmatched_candidate=tuple(e.name for n, e in enumerate(sides[1]) if n not in used_b),
        ordered=all(x[1] < y[1] for x, y in pairwise(positions)),
        order_correlation=_spearman([j for _, j in positions]),
        sizes_equal=reference.total_size == candidate.total_size if both_sizes else None,
        shapes_equal=sum(a == b for a, b in known) if known else None,
        uncertain=sum(len(p.positions) for p in paired if p.how == "structure"),
    )


def _spearman(places: list[int]) -> float | None:
    """Spearman's rank correlation of distinct places with their order (1 - 6 sum d^2 / (n (n^2 - 1)))."""
    n = len(places)
    if n < 2:
        return None
    ranks = {place: rank for rank, place in enumerate(sorted(places))}
    squares = sum((rank - ranks[place]) ** 2 for rank, place in enumerate(places))
    return 1 - 6 * squares / (n * (n * n - 1))


def _rules(paired: list[_Paired], reference: Tensors, candidate: Tensors) -> tuple[Rule, ...]:
    uses: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    certain: set[tuple[str, str]] = set()
    for pair, patterns in zip(paired, learn([p.names for p in paired]), strict=True):
        for pattern in patterns:
            uses[pattern] += pair.positions
            if pair.how != "structure":
                certain.add(pattern)
    place = {p: n for n, p in enumerate(sorted(q for pair in paired for q in pair.positions))}
    rules = []
    for pattern, found in uses.items():
        first = sorted(found, key=lambda p: (p[0] + p[1], abs(p[0] - p[1])))[:EXAMPLES]
        examples = tuple((reference.entries[i].name, candidate.entries[j].name) for i, j in first)
        how: How = "same" if pattern[0] == pattern[1] else "renamed" if pattern in certain else "structure"
        numbers = tuple(sorted(place[p] for p in found))
        rules.append(Rule(*pattern, len(found), examples, how, numbers))
    return tuple(sorted(rules, key=lambda r: (-r.count, sorted((r.pattern_from, r.pattern_to)))))


class _Numbers:
    """How the numbers of one side answer those of the other, place by place."""

    def __init__(self, a: Mapping[Segments, set[int]], b: Mapping[Segments, set[int]]) -> None:
        self._a, self._b = a, b

    def pair(self, pair: Pair) -> _Paired:
        """The tensors of two families that answer each other."""
        a, b = pair.reference, pair.candidate
        maps = [self._map(axis_a, axis_b) for axis_a, axis_b in zip(axes_of(a), axes_of(b), strict=True)]
        positions = []
        for index, position in a.members.items():
            answer = tuple(m.get(number, -1) for m, number in zip(maps, index, strict=True))
            if answer in b.members:
                positions.append((position, b.members[answer]))
        offsets = [_offset(m) for m in maps]
        names = _shifted(a, offsets, 0), _shifted(b, offsets, 1)
        return _Paired(pair.how, tuple(positions), names)

    def _map(self, axis_a: Segments, axis_b: Segments) -> dict[int, int]:
        a, b = self._a.get(axis_a, set()), self._b.get(axis_b, set())
        if len(a) == len(b) or not a & b:
            return dict(zip(sorted(a), sorted(b), strict=False))
        return {number: number for number in a & b}


def _offset(numbers: Mapping[int, int]) -> int | None:
    """The constant difference of answering numbers; None if there is none."""
    offsets = {b - a for a, b in numbers.items()}
    return offsets.pop() if len(offsets) == 1 else None


def _shifted(family: Family, offsets: list[int | None], side: int) -> Segments:
    """The family's name; the side with the larger numbers carries the offset (``layers.{n+1}``)."""
    turn = iter(offsets)
    marked = []
    for segment in family.segments:
        if is_mark(segment):
            offset = next(turn) or 0
            offset = offset if side == 1 else -offset
            segment = f"{segment}+{offset}" if offset > 0 else segment
        marked.append(segment)
    return tuple(marked)
