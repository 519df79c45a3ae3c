"""Tensor names as families: all names that differ only in their layer numbers are one family.

``llm.model.layers.3.mlp.up_proj.weight`` belongs to the family ``llm.model.layers.{n}.mlp.up_proj.weight`` at
index (3,). A checkpoint of thousands of tensors has some dozens of families, and they are what is renamed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from apograph.release.types import TensorInfo

MAX_SEGMENTS = 64
NUMBER = "."
"""Marks a numbered segment (``layers.3``); no segment of a name can be equal to it."""
SUFFIX = ".."
"""Marks a number at the end of a segment (``layer_3``)."""
MANY = 4
"""So many numbers after one stem make it a numbered series; fewer (``fc1``, ``fc2``) are parts of a name."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_STEM = re.compile(r"(.*?[^0-9])(0|[1-9][0-9]{0,8})", re.DOTALL)

Segments = tuple[str, ...]
Index = tuple[int, ...]
Shape = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Family:
    """Names alike up to numbers: the ``segments`` with marked numbers, and for every index the position of
    the tensor in its release. ``shapes`` are the distinct shapes (None among them: not known); ``rank`` is
    the first position."""

    segments: Segments
    members: Mapping[Index, int]
    shapes: frozenset[Shape]
    rank: int

    @property
    def arity(self) -> int:
        """How many numbers a name of this family holds."""
        return sum(map(is_mark, self.segments))

    @property
    def shaped(self) -> bool:
        """Whether the shape of every member is known."""
        return None not in self.shapes


def families(entries: Iterable[TensorInfo]) -> list[Family]:
    """The families of a checkpoint, by first position. Of a name that stands twice the first one counts."""
    rows: list[tuple[int, list[str], Shape]] = []
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        if entry.name not in seen:
            seen.add(entry.name)
            segments = entry.name.split(".", MAX_SEGMENTS - 1)
            if is_mark(segments[-1]):  # a rest that begins with a dot, after 63 segments
                segments = [entry.name]
            rows.append((position, segments, entry.shape))
    series = _series(segments for _, segments, _ in rows)
    members: dict[Segments, dict[Index, int]] = defaultdict(dict)
    shapes: dict[Segments, set[Shape]] = defaultdict(set)
    for position, segments, shape in rows:
        marked, index = _mark(segments, series)
        members[marked][index] = position
        shapes[marked].add(shape)
    return [Family(s, found, frozenset(shapes[s]), min(found.values())) for s, found in members.items()]


def _series(names: Iterable[list[str]]) -> set[tuple[int, str]]:
    """(depth, stem) of every segment that is followed by many different numbers."""
    numbers: dict[tuple[int, str], set[str]] = defaultdict(set)
    for depth, segment in {(d, s) for segments in names for d, s in enumerate(segments)}:
        if segment[-1:].isdigit() and (match := _STEM.fullmatch(segment)):
            numbers[depth, match[1]].add(match[2])
    return {key for key, found in numbers.items() if len(found) >= MANY}


def _mark(segments: list[str], series: set[tuple[int, str]]) -> tuple[Segments, Index]:
    marked: list[str] = []
    index: list[int] = []
    for depth, segment in enumerate(segments):
        if not segment[-1:].isdigit():
            marked.append(segment)
        elif _NUMBER.fullmatch(segment):
            marked.append(NUMBER)
            index.append(int(segment))
        elif (m := _STEM.fullmatch(segment)) and (depth, m[1]) in series:
            marked += [m[1], SUFFIX]
            index.append(int(m[2]))
        else:
            marked.append(segment)
    return tuple(marked), tuple(index)


def axes(found: Iterable[Family]) -> dict[Segments, set[int]]:
    """All numbers that occur at a place: the key is the path up to and including the marked number."""
    numbers: dict[Segments, set[int]] = defaultdict(set)
    for family in found:
        for coordinate, axis in enumerate(axes_of(family)):
            numbers[axis].update(index[coordinate] for index in family.members)
    return numbers


def axes_of(family: Family) -> list[Segments]:
    """The axes of a family, one for each of its numbers."""
    return [family.segments[: depth + 1] for depth, segment in enumerate(family.segments) if is_mark(segment)]


def explode(family: Family, positions_to_shape: Mapping[int, Shape]) -> list[Family]:
    """One family for each value of the last number, which becomes part of the name: the numbers of
    ``mlp.0`` and ``mlp.2`` are parts of a sequence, not layers."""
    depth = max(d for d, s in enumerate(family.segments) if is_mark(s))
    parts: dict[int, dict[Index, int]] = defaultdict(dict)
    for index, position in family.members.items():
        parts[index[-1]][index[:-1]] = position
    before, after = family.segments[:depth], family.segments[depth + 1 :]
    made = []
    for value, members in parts.items():
        named = (
            (*before, str(value))
            if family.segments[depth] == NUMBER
            else (*before[:-1], before[-1] + str(value))
        )
        shapes = frozenset(positions_to_shape[p] for p in members.values())
        made.append(
            replace(
                family, segments=named + after, members=members, shapes=shapes, rank=min(members.values())
            )
        )
    return made


def is_mark(segment: str) -> bool:
    """Whether a segment stands for a number (marks may carry an offset: ``.+1``)."""
    return segment.startswith(NUMBER) and segment.lstrip(".+0123456789") == ""


def render(segments: Iterable[str]) -> str:
    """The text of marked segments: ``{n}`` stands for a number, ``{n+1}`` for one with an offset."""
    text = ""
    for position, segment in enumerate(segments):
        glued = position == 0 or (is_mark(segment) and segment.startswith(SUFFIX))
        text += ("" if glued else ".") + (f"{{n{segment.lstrip('.')}}}" if is_mark(segment) else segment)
    return text
