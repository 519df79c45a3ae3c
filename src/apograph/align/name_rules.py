"""Renaming rules, learned from pairs of name families: few, exact, each as short as the pairs allow.

A rule rewrites one run of segments: at the start of a name (``vpm.* -> vison.*``), within
(``*.self_attn.q_proj.* -> *.attn.query.*``) or at its end. A rule is kept short only if every paired name
that holds the run is rewritten so, read in either direction, or by a rule with a longer run (the longest run
wins); otherwise it takes in more of the name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from apograph.align.name_families import SUFFIX, Segments, is_mark, render

MAX_LEARNED = 1_500
"""Beyond so many pairs of families every pair is its own rule."""
MAX_VISITS = 500_000
"""Places looked at in search of short rules; what is open after them is its own rule."""
MAX_TABLE = 400
"""Cells of the table that aligns two names; longer middles are one edit."""

Names: TypeAlias = tuple[Segments, Segments]
Pattern: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of an alignment: a[a_start:a_stop] answers b[b_start:b_stop], equal or rewritten."""

    a_start: int
    a_stop: int
    b_start: int
    b_stop: int
    equal: bool


def learn(pairs: Sequence[Names]) -> list[list[Pattern]]:
    """For every pair of marked names the rules that turn one into the other; two equal names have the rule
    of their first segment (``llm.* -> llm.*``)."""
    patterns: list[list[Pattern]] = [[] for _ in pairs]
    units = [align(a, b) for a, b in pairs]
    where_a = _Occurrences(
        (a, [(u.a_start, u.a_stop) for u in f]) for (a, _), f in zip(pairs, units, strict=True)
    )
    where_b = _Occurrences(
        (b, [(u.b_start, u.b_stop) for u in f]) for (_, b), f in zip(pairs, units, strict=True)
    )
    open_ = [(n, u) for n, found in enumerate(units) for u, unit in enumerate(found) if not unit.equal]
    level = 0 if len(pairs) <= MAX_LEARNED else 1 << 20
    while open_:
        if where_a.visits + where_b.visits > MAX_VISITS:
            level = 1 << 20
        groups: dict[_Rewrite, list[tuple[int, int]]] = defaultdict(list)
        for number, u in open_:
            groups[_rewrite(pairs[number], units[number], u, level)].append((number, u))
        open_ = []
        for rewrite, uses in groups.items():
            wanted = Counter(number for number, _ in uses)
            whole = rewrite.first and rewrite.last
            if whole or wanted == where_a.of(rewrite.a, rewrite) == where_b.of(rewrite.b, rewrite):
                for number in wanted:
                    patterns[number].append((rewrite.pattern(0), rewrite.pattern(1)))
            else:
                open_ += uses
        level += 1
    for number, (a, b) in enumerate(pairs):
        if a == b:
            text = _Rewrite(a[:1], a[:1], True, len(a) == 1, len(a) > 1 and a[1].startswith(SUFFIX)).pattern(
                0
            )
            patterns[number].append((text, text))
    return [sorted(set(found)) for found in patterns]


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """Run ``a`` becomes run ``b``; ``first``, ``last``: at the start or the end of the name; ``glued``: a
    number follows the last segment without a dot."""

    a: Segments
    b: Segments
    first: bool
    last: bool
    glued: bool

    def pattern(self, side: int) -> str:
        run = (self.a, self.b)[side]
        before = "" if self.first else "*" if run and run[0].startswith(SUFFIX) and is_mark(run[0]) else "*."
        after = "" if self.last else "*" if self.glued or not run else ".*"
        return before + render(run) + after


def _rewrite(names: Names, units: Sequence[Unit], place: int, level: int) -> _Rewrite:
    """The rewritten unit with more neighbours at each level: to the right at the start of a name, to the left
    at its end, within it to the left and to the right by turns; finally the whole name."""
    low, high = place, place + 1
    if level > 2 * len(units):
        low, high = 0, len(units)
    elif place == 0:
        high = min(len(units), high + level)
    elif high == len(units) or level % 2:
        low = max(0, low - (level if high == len(units) else (level + 1) // 2))
    else:
        high = min(len(units), high + level // 2)
    a = names[0][units[low].a_start : units[high - 1].a_stop]
    b = names[1][units[low].b_start : units[high - 1].b_stop]
    following = names[0][units[high - 1].a_stop :][:1]
    glued = bool(following) and is_mark(following[0]) and following[0].startswith(SUFFIX)
    return _Rewrite(a, b, low == 0, high == len(units), glued)


class _Occurrences:
    """Where runs of segments stand in many names, of which every stretch (start, stop) is given."""

    def __init__(self, names: Iterable[tuple[Segments, Sequence[tuple[int, int]]]]) -> None:
        self.visits = 0
        self._names: list[Segments] = []
        self._stretches: list[list[tuple[int, int]]] = []
        self._places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, (name, stretches) in enumerate(names):
            self._names.append(name)
            stretch_of = [(start, stop) for start, stop in stretches for _ in range(start, stop)]
            self._stretches.append(stretch_of)
            for depth, segment in enumerate(name):
                self._places[segment].append((number, depth))

    def of(self, run: Segments, at: _Rewrite) -> Counter[int]:
        """How often the run stands in each name at the place that ``at`` demands, other than as a part of a
        longer rewritten stretch."""
        if not run:
            return Counter(range(len(self._names)) if at.first else ())
        if not at.first and all(map(is_mark, run)):
            return Counter()  # a number alone says too little
        offset, segment = min(enumerate(run), key=lambda s: len(self._places.get(s[1], ())))
        found: Counter[int] = Counter()
        self.visits += len(self._places.get(segment, ()))
        for number, depth in self._places.get(segment, ()):
            name, start = self._names[number], depth - offset
            stop = start + len(run)
            fits = start >= 0 and (start == 0) == at.first and (stop == len(name)) == at.last
            if fits and name[start:stop] == run:
                low, high = self._stretches[number][start]
                if not (stop <= high and high - low > len(run)):
                    found[number] += 1
        return found


def align(a: Segments, b: Segments) -> list[Unit]:
    """The longest common subsequence of two names as alternating equal and rewritten units. Among several,
    the choice does not depend on which name comes first."""
    head = sum(1 for _ in takewhile(lambda p: p[0] == p[1], zip(a, b, strict=False)))
    room = min(len(a), len(b)) - head
    tail = sum(
        1 for _ in takewhile(lambda p: p[0] == p[1], zip(a[::-1][:room], b[::-1][:room], strict=False))
    )
    middle = _common(a[head : len(a) - tail], b[head : len(b) - tail])
    anchors = [(n, n) for n in range(head)]
    anchors += [(head + i, head + j) for i, j in middle]
    anchors += [(len(a) - n, len(b) - n) for n in range(tail, 0, -1)]
    units: list[Unit] = []
    i = j = 0
    for next_i, next_j in [*anchors, (len(a), len(b))]:
        if next_i > i or next_j > j:
            units.append(Unit(i, next_i, j, next_j, False))
        if next_i < len(a) and next_j < len(b):
            units.append(Unit(next_i, next_i + 1, next_j, next_j + 1, True))
        i, j = next_i + 1, next_j + 1
    return units


def _common(a: Segments, b: Segments) -> list[tuple[int, int]]:
    if len(a) * len(b) > MAX_TABLE:
        return []
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            best[i][j] = best[i + 1][j + 1] + 1 if a[i] == b[j] else max(best[i + 1][j], best[i][j + 1])
    found: list[tuple[int, int]] = []
    i = j = 0
    while best[i][j]:
        nexts = [
            (x + y, abs(x - y), a[x], x, y)
            for x in range(i, len(a))
            for y in range(j, len(b))
            if a[x] == b[y] and best[x + 1][y + 1] + 1 == best[i][j]
        ]
        *_, x, y = min(nexts)
        found.append((x, y))
        i, j = x + 1, y + 1
    return found
