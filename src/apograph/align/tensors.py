"""Which tensor of one checkpoint answers which of another, by content first, names and order last.

Content is compared without signs (``tensor_samples``), so the matching favours no result of a test of signs.
Where content says nothing, as between independent models, the renaming rules of ``align.names`` and the order
in the checkpoints give the pairs; such a pair says only what would have to be compared.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from apograph.align.names import EXAMPLES, Rule, renaming
from apograph.align.tensor_samples import Samples, assign, cells, correlations, significant
from apograph.release.tensor_store import TensorStore
from apograph.release.types import Tensors

How: TypeAlias = Literal["same", "renamed", "permuted", "sliced", "fused"]
CLEAR = 0.5
"""A correlation that no two independent matrices reach; names are then taken at their word."""
ALIKE = 0.9
"""The same for vectors: gains and biases of independent models look alike, so more is asked of them."""
MAX_CLASS = 3_000
"""Beyond so many matrices of one shape without a clear counterpart, content is not searched further."""
_LAYER = re.compile(r"(?:^|.*?\.)(\d+)(?=\.|$)")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows ``[start, stop)`` along axis 0 of the tensor ``name``; ``stop`` None means to the last row."""

    name: str
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Two parts of equal shape that answer each other.

    how: "same" (equal names), "renamed", "permuted" (a layer or expert of another number), "sliced" (part of
    a tensor answers a whole one, as after an extended vocabulary), "fused" (q/k/v or gate/up stored as one).
    ``score`` is the correlation of the absolute values of sampled elements, 0 where nothing was read.
    ``transposed``: the candidate's two axes are exchanged (a matrix; ``candidate`` names the whole tensor).
    """

    reference: Part
    candidate: Part
    how: How
    score: float
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Matching:
    """``matches`` in the order of the reference. A tensor answers several where it is tied or was duplicated.
    ``rules`` say how names were changed (``align.names.Rule``; their ``pairs`` are places in ``matches``)."""

    matches: tuple[Match, ...]
    unmatched_reference: tuple[str, ...]
    unmatched_candidate: tuple[str, ...]
    rules: tuple[Rule, ...]


def match_tensors(reference: TensorStore, candidate: TensorStore) -> Matching:
    """The map between two checkpoints: one-to-one, except for tied and duplicated tensors.

    Looks at 4096 elements of every tensor. Finds renamed, reordered and dropped layers, transposed storage,
    added rows, q/k/v or gate/up joined in one tensor row after row, and a model inside a larger one. Not
    found: projections interleaved head by head, and permuted rows, whose pairs then rest on names.
    """
    return _Matcher(reference, candidate).run()


def akin(matching: Matching, reference: TensorStore) -> bool:
    """Whether the content of several matrices within layers clearly agrees: a model without that is no
    ancestor of the other. Tables over one vocabulary grow alike when strangers learn from the same text."""
    shapes = {name: info.shape or () for name, info in reference.infos.items()}
    clear = {m.reference.name for m in matching.matches if m.score >= CLEAR}
    clear = {name for name in clear if len(shapes[name]) > 1}
    layered = {name for name in shapes if len(shapes[name]) > 1 and layer_number(name) is not None}
    return len(clear & layered) >= min(2, len(layered)) if layered else len(clear) >= 3


class _Matcher:
    def __init__(self, reference: TensorStore, candidate: TensorStore) -> None:
        self.samples = Samples(reference), Samples(candidate)
        self.shapes = tuple({n: i.shape or () for n, i in s.infos.items()} for s in (reference, candidate))
        self.free = tuple(dict.fromkeys(side) for side in self.shapes)
        self.matches: list[Match] = []
        self.layers: tuple[dict[str, str], dict[str, str]] = ({}, {})
        entries = [tuple(s.infos.values()) for s in (reference, candidate)]
        self.names = renaming(*(Tensors(e, "headers") for e in entries))

    def run(self) -> Matching:
        """Every way of matching in turn, each on what the ones before it left."""
        self._by_names()
        self._by_content()
        self._repeated()
        self._transposed()
        self._by_rows()
        self._learn_layers()
        self._by_layer()
        self._vectors()
        self._left_over()
        place = {name: n for n, name in enumerate(self.shapes[0])}
        self.matches.sort(key=lambda m: (place[m.reference.name], m.reference.start, m.candidate.name))
        return Matching(tuple(self.matches), tuple(self.free[0]), tuple(self.free[1]), self._rules())

    def _pair(self, a: str, b: str, score: float, transposed: bool = False) -> None:
        self.matches.append(Match(Part(a), Part(b), _how(a, b), score, transposed))
        self.free[0].pop(a, None)
        self.free[1].pop(b, None)

    def _score(self, a: str, b: str) -> float:
        x, y = (self.samples[n].rows(name, 0, self._rows(n, name)) for n, name in ((0, a), (1, b)))
        return 0.0 if x is None or y is None else float(x @ y)

    def _rows(self, side: int, name: str) -> int:
        shape = self.shapes[side][name]
        return shape[0] if shape else 1

    def _by_names(self) -> None:
        """Matrices that names pair and whose content clearly agrees."""
        for a, b in self.names.pairs:
            shape = self.shapes[0][a]
            if len(shape) > 1 and shape == self.shapes[1][b] and (score := self._score(a, b)) >= CLEAR:
                self._pair(a, b, score)

    def _matrices(self, side: int) -> dict[tuple[int, ...], list[str]]:
        classes: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name in self.free[side]:
            if len(self.shapes[side][name]) > 1:
                classes[self.shapes[side][name]].append(name)
        return classes

    def _by_content(self) -> None:
        """Matrices of one shape, assigned to each other by content whatever they are called."""
        classes_a, classes_b = self._matrices(0), self._matrices(1)
        for shape in classes_a.keys() & classes_b.keys():
            a, b = classes_a[shape], classes_b[shape]
            if max(len(a), len(b)) <= MAX_CLASS:
                vectors = [
                    [s.rows(n, 0, shape[0]) for n in x] for s, x in zip(self.samples, (a, b), strict=True)
                ]
                least = significant(min(4096, shape[0] * cells(shape)))
                for i, j, score in assign(correlations(*vectors), least):
                    self._pair(a[i], b[j], score)

    def _repeated(self) -> None:
        """Left-over matrices whose content a tensor has that already answers another: tied or duplicated."""
        for side in (0, 1):
            for shape, names in self._matrices(side).items():
                used = [n for n, s in self.shapes[1 - side].items() if s == shape]
                if not used or max(len(used), len(names)) > MAX_CLASS:
                    continue
                here = [self.samples[side].rows(n, 0, shape[0]) for n in names]
                there = [self.samples[1 - side].rows(n, 0, shape[0]) for n in used]
                table = correlations(here, there)
                for row, name in enumerate(names):
                    best = int(table[row].argmax())
                    if table[row, best] >= CLEAR:
                        pair = (name, used[best]) if side == 0 else (used[best], name)
                        self._pair(*pair, float(table[row, best]))

    def _transposed(self) -> None:
        classes_a, classes_b = self._matrices(0), self._matrices(1)
        for shape, a in classes_a.items():
            b = classes_b.get(shape[::-1], [])
            if len(shape) == 2 and b and max(len(a), len(b)) <= MAX_CLASS:
                table = correlations(
                    [self.samples[0].tile(n, False) for n in a], [self.samples[1].tile(n, True) for n in b]
                )
                least = significant(min(shape[0], 64) * min(shape[1], 64))
                for i, j, score in assign(table, least):
                    self._pair(a[i], b[j], score, True)

    def _by_rows(self) -> None:
        """Matrices that are some rows of a taller one: of a shape that both sides have equally many of, each
        has a whole one to answer, and is not searched for parts."""
        for taller in (1, 0):
            here, there = self._matrices(taller), self._matrices(1 - taller)
            tall = [n for s, own in here.items() if len(own) != len(there.get(s, ())) for n in own]
            small = [n for own in there.values() for n in own]
            found = list(self._within(small, tall, taller))
            parts = Counter(whole for _, whole, _, _ in found)
            for name, whole, start, score in found:
                part = Part(whole, start, start + self._rows(1 - taller, name))
                how: How = "fused" if parts[whole] > 1 else "sliced"
                pair = (Part(name), part) if taller else (part, Part(name))
                self.matches.append(Match(*pair, how, score))
                self.free[1 - taller].pop(name, None)
                self.free[taller].pop(whole, None)

    def _within(
        self, small: list[str], tall: list[str], taller: int
    ) -> Iterator[tuple[str, str, int, float]]:
        for shape in sorted({self.shapes[1 - taller][n] for n in small}):
            names = [n for n in small if self.shapes[1 - taller][n] == shape]
            wholes = [n for n in tall if self.shapes[taller][n][1:] == shape[1:]]
            heights = {
                self._rows(1 - taller, n) for n in small if self.shapes[1 - taller][n][1:] == shape[1:]
            }
            places = [
                (w, o) for w in wholes for o in _offsets(shape[0], self._rows(taller, w), heights)
            ]  # fmt: skip
            if not places or max(len(places), len(names)) > MAX_CLASS:
                continue
            table = correlations(
                [self.samples[1 - taller].rows(n, 0, shape[0]) for n in names],
                [self.samples[taller].rows(w, o, o + shape[0]) for w, o in places],
            )
            for i, j, score in assign(table, significant(min(4096, shape[0] * cells(shape)))):
                yield names[i], *places[j], score

    def _learn_layers(self) -> None:
        """Which layer answers which, by the majority of the matrices that content paired."""
        votes: Counter[tuple[str, str]] = Counter()
        for m in self.matches:
            a, b = _layer(m.reference.name), _layer(m.candidate.name)
            if a and b and m.score > 0:
                votes[a, b] += 1
        for (a, b), _ in votes.most_common():
            if a not in self.layers[0] and b not in self.layers[1]:
                self.layers[0][a] = b
                self.layers[1][b] = a

    def _by_layer(self) -> None:
        """What is left in two layers that answer each other (gains, biases): by name, then by order."""
        groups: tuple[dict[str, list[str]], ...] = (defaultdict(list), defaultdict(list))
        for side in (0, 1):
            for name in self.free[side]:
                groups[side][_layer(name)].append(name)
        for a, b in self.layers[0].items():
            rest = {name[len(b) :]: name for name in groups[1].get(b, ())}
            for name in groups[0].get(a, ()):
                other = rest.get(name[len(a) :])
                if other is not None and self.shapes[0][name] == self.shapes[1][other]:
                    self._pair(name, other, self._score(name, other))
            self._in_order(groups[0].get(a, ()), groups[1].get(b, ()))

    def _in_order(self, a: Iterable[str], b: Iterable[str]) -> None:
        """Free tensors of equal shape, in order, where both sides have as many of them."""
        a, b = [n for n in a if n in self.free[0]], [n for n in b if n in self.free[1]]
        for shape in {self.shapes[0][n] for n in a}:
            mine = [n for n in a if self.shapes[0][n] == shape]
            theirs = [n for n in b if self.shapes[1][n] == shape]
            if len(mine) == len(theirs):
                for x, y in zip(mine, theirs, strict=True):
                    self._pair(x, y, self._score(x, y))

    def _vectors(self) -> None:
        """One-dimensional tensors outside known layers, where their content is nearly the same."""
        classes: tuple[dict[tuple[int, ...], list[str]], ...] = (defaultdict(list), defaultdict(list))
        for side in (0, 1):
            for name in self.free[side]:
                if len(self.shapes[side][name]) == 1 and _layer(name) not in self.layers[side]:
                    classes[side][self.shapes[side][name]].append(name)
        for shape in classes[0].keys() & classes[1].keys():
            a, b = classes[0][shape], classes[1][shape]
            if max(len(a), len(b)) <= MAX_CLASS:
                vectors = [
                    [s.rows(n, 0, shape[0]) for n in x] for s, x in zip(self.samples, (a, b), strict=True)
                ]
                for i, j, score in assign(correlations(*vectors), ALIKE):
                    self._pair(a[i], b[j], score)

    def _left_over(self) -> None:
        """Without content: by the renaming rules, then in order; never against the layers content tells."""
        for a, b in self.names.pairs:
            if a in self.free[0] and b in self.free[1] and self._agrees(a, b):
                shapes = self.shapes[0][a], self.shapes[1][b]
                if shapes[0] == shapes[1]:
                    self._pair(a, b, self._score(a, b))
                elif len(shapes[0]) > 1 and shapes[0][1:] == shapes[1][1:]:
                    rows = min(shapes[0][0], shapes[1][0])
                    parts = [
                        Part(n, 0, None if s[0] == rows else rows)
                        for n, s in zip((a, b), shapes, strict=True)
                    ]
                    self.matches.append(Match(parts[0], parts[1], "sliced", 0.0))
                    self.free[0].pop(a)
                    self.free[1].pop(b)
        outside = [[n for n in free if not _layer(n) or not self.layers[0]] for free in self.free]
        self._in_order(*outside)

    def _agrees(self, a: str, b: str) -> bool:
        layers = _layer(a), _layer(b)
        known = self.layers[0].get(layers[0]), self.layers[1].get(layers[1])
        if known == (None, None):
            stems = {_stem(layer) for layer in self.layers[0]}
            return not layers[0] or _stem(layers[0]) not in stems
        return known == (layers[1], layers[0])

    def _rules(self) -> tuple[Rule, ...]:
        """The rules of the names' own map as far as it gives the same pairs; the others layer by layer."""
        whole = {(m.reference.name, m.candidate.name): n for n, m in enumerate(self.matches)}

        def places(pairs: Iterable[tuple[str, str]]) -> tuple[int, ...]:
            return tuple(sorted(whole[pair] for pair in pairs))

        rules = []
        for rule in self.names.rules:
            pairs = [self.names.pairs[n] for n in rule.pairs]
            held = [pair for pair in pairs if pair in whole]
            if held:
                rules.append(
                    replace(rule, count=len(held), examples=tuple(held[:EXAMPLES]), pairs=places(held))
                )
        moved: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for a, b in whole.keys() - set(self.names.pairs):
            layers = _layer(a), _layer(b)
            same = all(layers) and a[len(layers[0]) :] == b[len(layers[1]) :]
            moved[(f"{layers[0]}.*", f"{layers[1]}.*") if same else (a, b)].append((a, b))
        for (a, b), pairs in sorted(moved.items()):
            rules.append(Rule(a, b, len(pairs), tuple(sorted(pairs)[:EXAMPLES]), "renamed", places(pairs)))
        return tuple(rules)


def _offsets(rows: int, height: int, heights: Iterable[int]) -> list[int]:
    """Where a part of ``rows`` rows can start in a tensor of ``height`` rows: at either end, or behind one or
    two other parts."""
    single = {0, *heights}
    sums = {x + y for x in single for y in single} | {height - rows}
    return sorted(o for o in sums if 0 <= o <= height - rows)[:32]


def _layer(name: str) -> str:
    """The name up to its first number that is a whole segment, or ""."""
    match = _LAYER.match(name)
    return match[0] if match else ""


def _stem(layer: str) -> str:
    return layer.rstrip("0123456789")


def layer_number(name: str) -> int | None:
    """The first number that is a whole segment of a name."""
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def in_order(matches: Iterable[Match]) -> bool:
    """Whether layers follow each other on both sides alike, however they are numbered."""
    numbers = {(layer_number(m.reference.name), layer_number(m.candidate.name)) for m in matches}
    known = sorted((a, b) for a, b in numbers if a is not None and b is not None)
    return all(x[1] <= y[1] for x, y in pairwise(known))


def _how(a: str, b: str) -> How:
    if a == b:
        return "same"
    numbers = [layer_number(name) for name in (a, b)]
    moved = None not in numbers and numbers[0] != numbers[1]
    return "permuted" if moved else "renamed"
