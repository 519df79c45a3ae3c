"""Which operations of one unit of code answer which of another.

Largest equal subtrees first (as in GumTree, Falleri et al. 2014), then single operations by what feeds them,
along the flow of data and as written, then neighbours of what was matched. The author's own names take no
part in labels; where several places fit equally, names and neighbours matched so far decide.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apograph.align.code_background import UNIT
from apograph.align.code_trees import LEVELS, SMALL, CodeTree

FULL = 1.0
NEAR = 0.9
"""Credit of an operation whose inputs agree two levels deep."""
BESIDE = 0.6
"""Credit of an operation that agrees by itself and stands beside matched ones."""
_AMBIGUOUS = 8
"""Equal places on one side up to which all choices are weighed; more are taken in order."""
_LOOKED_AT = 12
"""Operations below a place whose names are looked at."""
_ARITHMETIC = frozenset(("Add", "Sub", "Mult", "Div", "FloorDiv", "Mod", "Pow", "MatMult"))
Pair = tuple[int, int, float]


@dataclass(slots=True, eq=False)
class Alignment:
    """Pairs of nodes of ``left`` and ``right`` with their credit in [0, 1]; credit 0 marks places that answer
    each other and differ (another constant)."""

    left: CodeTree
    right: CodeTree
    pairs: list[Pair]

    @property
    def shared(self) -> float:
        """What both say, in bits."""
        a, b = self.left.weight, self.right.weight
        return sum(c * min(a[i], b[j]) for i, j, c in self.pairs) / UNIT

    @property
    def similarity(self) -> float:
        """Weight of what is shared over the weight of both; 1 for trees that are equal up to names."""
        both = self.left.total + self.right.total
        a, b = self.left.weight, self.right.weight
        return sum(c * (a[i] + b[j]) for i, j, c in self.pairs) / both if both else 0.0

    @property
    def coverage(self) -> tuple[float, float]:
        """The shares of the left and of the right unit's weight that are matched."""
        a, b = self.left.weight, self.right.weight
        left = sum(c * a[i] for i, _, c in self.pairs) / self.left.total if self.left.total else 0.0
        right = sum(c * b[j] for _, j, c in self.pairs) / self.right.total if self.right.total else 0.0
        return left, right


def align(left: CodeTree, right: CodeTree) -> Alignment:
    """Match two units."""
    work = _Work(left, right)
    work.subtrees()
    for labels_a, labels_b, reach_a, reach_b, credit in _readings(left, right):
        work.operations(labels_a, labels_b, reach_a, reach_b, credit)
    work.neighbours()
    return Alignment(left, right, sorted(work.pairs))


def _readings(
    a: CodeTree, b: CodeTree
) -> list[tuple[list[int], list[int], Sequence[int], Sequence[int], float]]:
    found: list[tuple[list[int], list[int], Sequence[int], Sequence[int], float]] = []
    for depth, credit in ((LEVELS, FULL), (LEVELS - 1, NEAR)):
        found.append((a.flowing[depth], b.flowing[depth], a.reach[depth], b.reach[depth], credit))
        # As written a label takes in no more than the subtree.
        found.append((a.written[depth], b.written[depth], a.shape.size, b.shape.size, credit))
    return found


class _Work:
    """One alignment in the making."""

    def __init__(self, a: CodeTree, b: CodeTree) -> None:
        self.a, self.b = a, b
        self.pairs: list[Pair] = []
        self.of_a = [-1] * len(a.full)
        self.of_b = [-1] * len(b.full)
        self.votes: Counter[tuple[str, str]] = Counter()

    def take(self, i: int, j: int, credit: float) -> None:
        self.of_a[i], self.of_b[j] = j, i
        self.pairs.append((i, j, credit))
        self.votes.update(name_pairs(self.a, self.b, i, j))

    def subtrees(self) -> None:
        """Equal subtrees of three operations and more, the largest first; equal units whatever their size."""
        a, b = self.a, self.b
        if a.full[-1] == b.full[-1] and self._free(self.of_a, a, len(a.full) - 1):
            self._whole(len(a.full) - 1, len(b.full) - 1)
            return
        where_a, where_b = _places(a), _places(b)
        common = [(a.shape.size[where_a[h][0]], h) for h in where_a.keys() & where_b.keys()]
        for _, label in sorted(common, key=lambda c: (-c[0], where_a[c[1]][0])):
            free_a = [i for i in where_a[label] if self._free(self.of_a, a, i)]
            free_b = [j for j in where_b[label] if self._free(self.of_b, b, j)]
            for i, j in self._assign(free_a, free_b):
                self._whole(i, j)

    def _whole(self, i: int, j: int) -> None:
        waiting = [(i, j)]
        while waiting:
            i, j = waiting.pop()
            self.take(i, j, FULL)
            below = zip(self.a.shape.kids[i], self.b.shape.kids[j], strict=True)
            waiting += [(k, m) for k, m in below if k >= 0]

    @staticmethod
    def _free(taken: list[int], tree: CodeTree, top: int) -> bool:
        waiting = [top]
        while waiting:
            node = waiting.pop()
            if taken[node] != -1:
                return False
            waiting += [k for k in tree.shape.kids[node] if k >= 0]
        return True

    def operations(
        self,
        labels_a: list[int],
        labels_b: list[int],
        reach_a: Sequence[int],
        reach_b: Sequence[int],
        credit: float,
    ) -> None:
        """Single operations with equal labels."""
        where_b: defaultdict[int, list[int]] = defaultdict(list)
        for j, label in enumerate(labels_b):
            if self.of_b[j] == -1 and reach_b[j] >= SMALL and self.b.weight[j]:
                where_b[label].append(j)
        where_a: defaultdict[int, list[int]] = defaultdict(list)
        for i, label in enumerate(labels_a):
            if self.of_a[i] == -1 and reach_a[i] >= SMALL and label in where_b and self.a.weight[i]:
                where_a[label].append(i)
        for label, found in where_a.items():
            for i, j in self._assign(found, where_b[label]):
                self.take(i, j, credit)

    def _assign(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """Which of the equal places on both sides belong together."""
        if not left or not right:
            return []
        if len(left) == len(right) == 1 or max(len(left), len(right)) > _AMBIGUOUS:
            return list(zip(left, right, strict=False))
        scored = sorted(
            ((self._fit(i, j), i, j) for i in left for j in right), key=lambda s: (-s[0], s[1] + s[2], s[1])
        )
        used_a: set[int] = set()
        used_b: set[int] = set()
        chosen: list[tuple[int, int]] = []
        for _, i, j in scored:
            if i not in used_a and j not in used_b:
                used_a.add(i)
                used_b.add(j)
                chosen.append((i, j))
        return chosen

    def _fit(self, i: int, j: int) -> float:
        a, b = self.a, self.b
        score = -abs(i / len(a.full) - j / len(b.full))
        if a.parent[i] >= 0 and self.of_a[a.parent[i]] == b.parent[j]:
            score += 2
        waiting = [(i, j)]
        for _ in range(_LOOKED_AT):
            if not waiting:
                break
            k, m = waiting.pop()
            for pair in name_pairs(a, b, k, m):
                score += min(self.votes[pair], 3) + (pair[0] == pair[1])
            waiting += [p for p in zip(a.shape.kids[k], b.shape.kids[m], strict=False) if min(p) >= 0]
        return score

    def neighbours(self) -> None:
        """From matched operations to what feeds and what uses them."""
        a, b = self.a, self.b
        waiting = [(i, j) for i, j, _ in self.pairs]
        while waiting:
            i, j = waiting.pop()
            for k, m in zip(a.shape.flow[i], b.shape.flow[j], strict=False):
                if k >= 0 and m >= 0 and self.of_a[k] == -1 and self.of_b[m] == -1:
                    credit = self._beside(k, m)
                    if credit is not None:
                        self.take(k, m, credit)
                        waiting.append((k, m))
            k, m = a.parent[i], b.parent[j]
            free = k >= 0 and m >= 0 and self.of_a[k] == -1 and self.of_b[m] == -1
            if free and a.written[0][k] == b.written[0][m]:
                self.take(k, m, BESIDE)
                waiting.append((k, m))

    def _beside(self, k: int, m: int) -> float | None:
        a, b = self.a, self.b
        if a.full[k] == b.full[m]:
            return FULL if a.shape.size[k] == 1 else NEAR
        if a.written[0][k] == b.written[0][m]:
            return BESIDE
        kind = _kind(a.shape.ops[k])
        return 0.0 if kind is not None and kind == _kind(b.shape.ops[m]) else None


def _kind(op: str) -> str | None:
    """What an operation may be exchanged for in its place: a constant, arithmetic, a comparison."""
    if op in _ARITHMETIC:
        return "arithmetic"
    if op[:4] == "cmp:":
        return "comparison"
    return op[:2] if op[:2] in ("n:", "s:", "k:") else None


def _places(tree: CodeTree) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for i, label in enumerate(tree.full):
        if tree.shape.size[i] >= SMALL:
            found.setdefault(label, []).append(i)
    return found


def name_pairs(a: CodeTree, b: CodeTree, i: int, j: int) -> list[tuple[str, str]]:
    """The author's own names that stand in the same places of two matched operations. The language's own
    (``__init__``) and the empty name of a value that is read again are none."""
    here = zip(a.shape.names[i], b.shape.names[j], strict=False)
    found = [(n, m) for n, m in here if n and m and _own(n) and _own(m)]
    found += zip(a.shape.targets[i], b.shape.targets[j], strict=False)
    return found


def _own(name: str) -> bool:
    return len(name) > 2 and not name.startswith("__", 2)


def _unit_names(alignment: Alignment) -> list[tuple[str, str]]:
    """The names of two matched units and of the classes that they stand in."""
    left, right = alignment.left.unit, alignment.right.unit
    if "<module>" in (left.name, right.name):
        return []
    a, b = left.name.split("."), right.name.split(".")
    pairs = [(a[-1], b[-1])]
    if left.kind == right.kind == "method":
        pairs.append((a[-2], b[-2]))
    return [(f"v:{x}", f"v:{y}") for x, y in pairs if _own(f"v:{x}") and _own(f"v:{y}")]


@dataclass(frozen=True, slots=True)
class NameMap:
    """A one-to-one map of names. ``renamed`` holds (left, right, occurrences), the commonest first, names
    without their kind; ``consistency`` is the share of aligned occurrences that the map explains."""

    renamed: tuple[tuple[str, str, int], ...]
    occurrences: int
    consistency: float


def name_map(alignments: Iterable[Alignment]) -> NameMap:
    """The map of names over several alignments: commonest pairs first, each name used once."""
    votes: Counter[tuple[str, str]] = Counter()
    for alignment in alignments:
        for i, j, _ in alignment.pairs:
            votes.update(name_pairs(alignment.left, alignment.right, i, j))
        votes.update(_unit_names(alignment))
    left: set[str] = set()
    right: set[str] = set()
    chosen: list[tuple[str, str, int]] = []
    for (a, b), n in sorted(votes.items(), key=lambda v: (-v[1], v[0][0][2:] != v[0][1][2:], v[0])):
        if a not in left and b not in right:
            left.add(a)
            right.add(b)
            chosen.append((a[2:], b[2:], n))
    total = votes.total()
    return NameMap(tuple(chosen), total, sum(n for *_, n in chosen) / total if total else 1.0)
