"""Which family of tensor names of one release answers which of the other, whatever they are called.

Three steps, each on what the former left over: equal names; equal subtrees of the tree of names under any
prefix (after GumTree's top-down phase: Falleri et al. 2014, "Fine-grained and accurate source code
differencing"); then single families by extent, shapes, likeness of name and place in the file. Every choice
is a function of the unordered pair, so that swapping the sides swaps the answer.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar

from apograph.align.name_families import NUMBER, SUFFIX, Family, Segments, Shape, explode

How: TypeAlias = Literal["same", "renamed", "structure"]
T = TypeVar("T")
Found: TypeAlias = "tuple[list[Pair], list[Family], list[Family]]"
MIN_SUBTREE = 3
MIN_LIKENESS = 0.5
MAX_SCORED = 100_000
"""Pairs of families that are scored by name at most; a larger class is paired in its order."""
MAX_NODES = 400_000
MAX_FAMILIES = 40_000
"""Beyond so many differently named families on both sides together, only equal names are paired."""
SEQUENCE = 4
"""Up to so many values, the last number of a left-over family may be a place in a sequence, not a layer."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two families that answer each other. how: "same" names, "renamed" (equal subtree or like names), or
    "structure" (extent, shapes and order alone say so: uncertain)."""

    reference: Family
    candidate: Family
    how: How


def match_families(
    reference: list[Family],
    candidate: list[Family],
    shapes: tuple[Mapping[int, Shape], Mapping[int, Shape]],
) -> list[Pair]:
    """Pairs of families, each tensor in at most one, in the order of the reference. ``shapes`` of both sides
    by position."""
    named = {f.segments: f for f in candidate}
    pairs = [Pair(f, named[f.segments], "same") for f in reference if f.segments in named]
    a, b = _rest(reference, candidate, pairs)
    if len(a) + len(b) > MAX_FAMILIES:
        return pairs
    for step in (_subtrees, _singles):
        found, a, b = step(a, b)
        pairs += found
    found, _, _ = _singles(_as_sequences(a, shapes[0]), _as_sequences(b, shapes[1]))
    return sorted(pairs + found, key=lambda p: p.reference.rank)


def _rest(a: list[Family], b: list[Family], pairs: Iterable[Pair]) -> tuple[list[Family], list[Family]]:
    pairs = list(pairs)
    used_a = {p.reference.segments for p in pairs}
    used_b = {p.candidate.segments for p in pairs}
    return [f for f in a if f.segments not in used_a], [f for f in b if f.segments not in used_b]


def _as_sequences(found: list[Family], shapes: Mapping[int, Shape]) -> list[Family]:
    made: list[Family] = []
    for family in found:
        short = family.arity > 0 and len({index[-1] for index in family.members}) <= SEQUENCE
        made += explode(family, shapes) if short else [family]
    return made


def _assign(
    a: Sequence[T], b: Sequence[T], score: Callable[[T, T], float | None]
) -> list[tuple[T, T, float]]:
    """One-to-one pairs, best score first, then nearest in order; None forbids a pair."""
    scored = []
    for place_a, x in enumerate(a):
        for place_b, y in enumerate(b):
            if (value := score(x, y)) is not None:
                scored.append((-value, abs(place_a - place_b), place_a + place_b, place_a, place_b))
    scored.sort()
    used_a: set[int] = set()
    used_b: set[int] = set()
    chosen = []
    for value, _, _, place_a, place_b in scored:
        if place_a not in used_a and place_b not in used_b:
            used_a.add(place_a)
            used_b.add(place_b)
            chosen.append((a[place_a], b[place_b], -value))
    return chosen


# Equal subtrees.


@dataclass(frozen=True, slots=True)
class _Node:
    prefix: Segments
    families: tuple[Family, ...]


def _subtrees(a: list[Family], b: list[Family]) -> Found:
    pairs: list[Pair] = []
    for with_numbers in (True, False):
        nodes_a, nodes_b = _nodes(a, with_numbers), _nodes(b, with_numbers)
        free_a, free_b = {f.segments for f in a}, {f.segments for f in b}
        for key in _largest_first(nodes_a, nodes_b):
            roots_a = [n for n in nodes_a[key] if all(f.segments in free_a for f in n.families)]
            roots_b = [n for n in nodes_b[key] if all(f.segments in free_b for f in n.families)]
            if len(roots_a) != len(roots_b) or len(roots_a) ** 2 > MAX_SCORED:
                continue
            for x, y, _ in _assign(roots_a, roots_b, lambda x, y: _likeness(x.prefix, y.prefix)):
                pairs += [Pair(f, g, "renamed") for f, g in zip(x.families, y.families, strict=True)]
                free_a -= {f.segments for f in x.families}
                free_b -= {f.segments for f in y.families}
        a, b = _rest(a, b, pairs)
    return pairs, a, b


def _largest_first(a: Mapping[Any, list[_Node]], b: Mapping[Any, list[_Node]]) -> list[Any]:
    def order(key: Any) -> tuple[int, int, Any]:
        rank = sum(min(f.rank for n in side[key] for f in n.families) for side in (a, b))
        return -len(key), rank, [relative for relative, *_ in key]

    return sorted(a.keys() & b.keys(), key=order)


def _nodes(found: list[Family], with_numbers: bool) -> dict[Hashable, list[_Node]]:
    """Every node of the tree of names with at least MIN_SUBTREE families, keyed by all that is below it."""
    deepest = max(2, MAX_NODES // max(1, len(found)))
    below: dict[Segments, list[Family]] = defaultdict(list)
    for family in found:
        for depth in range(min(len(family.segments), deepest)):
            below[family.segments[:depth]].append(family)
    nodes: dict[Hashable, list[_Node]] = defaultdict(list)
    for prefix, members in below.items():
        depth = len(prefix)
        # A number at a segment's end belongs to its stem.
        if len(members) < MIN_SUBTREE or any(f.segments[depth] == SUFFIX for f in members):
            continue
        members.sort(key=lambda f: f.segments[depth:])
        content = tuple(
            (f.segments[depth:], f.shapes, frozenset(f.members) if with_numbers else None) for f in members
        )
        nodes[content].append(_Node(prefix, tuple(members)))
    return nodes


# Single families.


def _singles(a: list[Family], b: list[Family]) -> Found:
    """By likeness of name where it is clear, then by extent and shapes, in order."""
    pairs: list[Pair] = []
    if len(a) * len(b) <= MAX_SCORED:
        score = _scorer(a, b, MIN_LIKENESS)
        pairs = [Pair(f, g, "renamed") for f, g, _ in _assign(a, b, score)]
        a, b = _rest(a, b, pairs)
    score = _scorer(a, b, 0.0)
    classes_a, classes_b = _classes(a), _classes(b)
    for key in classes_a.keys() & classes_b.keys():
        class_a, class_b = classes_a[key], classes_b[key]
        if len(class_a) != len(class_b):
            continue
        if len(class_a) ** 2 <= MAX_SCORED:
            pairs += [Pair(f, g, "structure") for f, g, _ in _assign(class_a, class_b, score)]
        else:
            pairs += [Pair(f, g, "structure") for f, g in zip(class_a, class_b, strict=True)]
    return pairs, *_rest(a, b, pairs)


def _classes(found: list[Family]) -> dict[Hashable, list[Family]]:
    """Families that only their names could tell apart. Without a number or a shape, nothing says so."""
    classes: dict[Hashable, list[Family]] = defaultdict(list)
    for family in found:
        if family.arity or family.shaped:
            bias = family.segments[-1] == "bias"
            key = (family.arity, len(family.members), family.shapes, bias)
            classes[key].append(family)
    return classes


def _scorer(a: list[Family], b: list[Family], least: float) -> Callable[[Family, Family], float | None]:
    last_a, last_b = (max((f.rank for f in side), default=0) or 1 for side in (a, b))

    def score(x: Family, y: Family) -> float | None:
        if x.arity != y.arity or (x.shaped and y.shaped and x.shapes != y.shapes):
            return None
        likeness = _likeness(x.segments, y.segments)
        if likeness < least:
            return None
        common = len(x.members.keys() & y.members.keys())
        extent = common / (len(x.members) + len(y.members) - common)
        return likeness + 0.3 * extent + 0.2 * (1 - abs(x.rank / last_a - y.rank / last_b))

    return score


def _likeness(a: Segments, b: Segments) -> float:
    return _dice(_features(a), _features(b))


@lru_cache(1 << 12)
def _features(segments: Segments) -> Counter[str]:
    """The words of a name, each twice, and their initials once: ``q_proj`` is a little like ``query``."""
    words = [w.lower() for s in segments if s not in (NUMBER, SUFFIX) for w in _WORD.findall(s[:200])][:64]
    return Counter(words + words + [f"{w[0]}-" for w in words])


def _dice(a: Counter[str], b: Counter[str]) -> float:
    """Shared features over all features (Dice 1945)."""
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 0.0
