"""The attentions over one residual stream: which matrices are q, k, v and o, and which belong together.

v and o share the dimensions of their heads, so do q and k; o alone writes to the stream. Between a q and a k
of one shape nothing in the weights decides (scores are symmetric in them): the order in the checkpoint does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from apograph.align.role_heads import SAMPLE, Heads, best_size, default_size, sizes
from apograph.align.role_match import HINT, alike, closeness, correlation, pairing
from apograph.align.role_sheets import Reals
from apograph.align.role_streams import Piece, Stream
from apograph.align.roles import View
from apograph.findings import Json

UNCLEAR = 0.02
"""Difference in resemblance below which squares that read and squares that write are not told apart."""
Doubt: TypeAlias = Literal["q and k", "v and o", "q, k with v, o", "head size", "fused layout"]


@dataclass(frozen=True, slots=True)
class Order:
    """What the order in the checkpoint is worth beside content; ``alphabetical``: down stands before up."""

    worth: float
    alphabetical: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One attention. ``place``: of its o in the checkpoint. ``doubts``: what content did not decide."""

    q: View
    k: View
    v: View
    o: View
    heads: int
    groups: int
    size: int
    place: int
    doubts: frozenset[Doubt] = frozenset()


def find_attentions(
    stream: Stream, heads: Heads, config: Mapping[str, Json], reference: Reals | None, order: Order
) -> tuple[list[Found], list[Piece]]:
    """All attentions over the stream, in the order of their o, and the matrices that are no part of one.
    ``reference``: Gram matrix of the stream's leading channels (``residual_gram``). ``order``: what the
    order in the checkpoint tells where content is weak."""
    return _Finder(stream, heads, config, reference, order).run()


class _Finder:
    def __init__(
        self, stream: Stream, heads: Heads, config: Mapping[str, Json], reference: Reals | None, order: Order
    ) -> None:
        self.stream, self.heads, self.config, self.reference = stream, heads, config, reference
        self.hint, self.alphabetical = order.worth, order.alphabetical
        self.readers = {x: list(p) for x, p in stream.readers.items()}
        self.writers = {x: list(p) for x, p in stream.writers.items()}
        self.squares = list(stream.squares)
        self.found: list[Found] = []

    def run(self) -> tuple[list[Found], list[Piece]]:
        """The attentions of the stream, and the pieces that none of them took."""
        width = self.stream.width
        for size, os in sorted(self.writers.items()):
            if len(self.readers.get(size, [])) == 3 * len(os):
                self._whole(self.readers.pop(size), self.writers.pop(size))
            elif len(self.readers.get(size, [])) == len(os) and (few := self._few(size, len(os))):
                self._grouped(self.readers.pop(size), self.readers.pop(few), self.writers.pop(size))
            elif fused := self._fused_class(size, len(os)):
                self._fused(self.readers.pop(fused), self.writers.pop(size))
        if fused := self._fused_class(width, len(self.squares)):
            rows = self.readers.pop(fused)
            self._fused(rows, self._writers(len(rows)) if len(rows) > 1 else list(self.squares))
        if few := self._few(width, len(self.squares) // 2):
            count = len(self.readers[few]) // 2
            os = self._writers(count)
            self._grouped(self._take(count), self.readers.pop(few), os)
        if len(self.squares) >= 4:
            os = self._writers(len(self.squares) // 4)
            self._whole(self._take(3 * len(os)), os)
        left = [p for c in (*self.readers.values(), *self.writers.values()) for p in c]
        self.found.sort(key=lambda f: f.place)
        return self.found, left + self.squares

    def _few(self, many: int, count: int) -> int | None:
        """The width of keys and values beside ``count`` queries of width ``many``."""
        fits = [
            x
            for x, p in self.readers.items()
            if x < many
            and many % x == 0
            and x not in self.writers
            and len(p) >= 2
            and len(p) // 2 in (count, count - 1)
        ]
        return max(fits, key=lambda x: len(self.readers[x]), default=None) if count else None

    def _fused_class(self, many: int, count: int) -> int | None:
        fits = [
            x
            for x, p in self.readers.items()
            if many < x <= 3 * many
            and (x - many) % 2 == 0
            and many % ((x - many) // 2) == 0
            and len(p) <= count
            and (x == 3 * many or len(p) > count // 2)
        ]
        return max(fits, key=lambda x: len(self.readers[x]), default=None)

    def _take(self, count: int) -> list[Piece]:
        """The ``count`` squares that read most clearly."""
        chosen = sorted(self.squares, key=self._reads, reverse=True)[:count]
        return self._out(chosen)

    def _writers(self, count: int) -> list[Piece]:
        """The ``count`` squares that write most clearly; by their places where nothing is clear: o is the
        last of a layer, or the one after k by the alphabet."""
        ranked = sorted(self.squares, key=self._reads)
        per = len(ranked) // max(1, count)
        if 0 < count < len(ranked) and self._reads(ranked[count]) - self._reads(ranked[count - 1]) < UNCLEAR:
            slot = (per > 2) if self.alphabetical else per - 1
            ranked = self.squares[slot::per]
        return self._out(ranked[:count])

    def _out(self, chosen: Sequence[Piece]) -> list[Piece]:
        views = {p.view for p in chosen}
        taken = [p for p in self.squares if p.view in views]
        self.squares = [p for p in self.squares if p.view not in views]
        return taken

    def _reads(self, piece: Piece) -> float:
        """How much more the columns than the rows of a square matrix resemble the stream."""
        traits = self.heads.reader.traits(piece.view)
        if traits is None or self.reference is None:
            return 0.0
        return alike(traits.grams[1], self.reference) - alike(traits.grams[0], self.reference)

    def _score(self, columns: bool, size: int) -> Callable[[Piece, Piece], float]:
        return lambda few, many: self.heads.score(many.view, few.view, columns, size)

    def _grouped(self, qs: list[Piece], few: list[Piece], os: list[Piece]) -> None:
        candidates, given = sizes(os[0].inn, few[0].out, self.config)
        size, clear = (candidates[0], given) if len(candidates) == 1 else self._size(candidates, qs, few, os)
        vo = pairing(few, os, self._score(True, size), hint=self.hint)
        if not any(ok for _, _, ok in vo) and len(few) == 2 * len(os):
            vo = [(few[2 * n + 1], o, False) for n, o in enumerate(os)]
        vs = {v.view for v, _, _ in vo}
        ks = [p for p in few if p.view not in vs]
        kq = pairing(ks, qs, self._score(False, size), hint=self.hint)
        pairs = [(q, k, ok) for k, q, ok in kq]
        self._join(pairs, [(v, o, ok) for v, o, ok in vo], size, clear, sure_qk=True)

    def _size(
        self, candidates: list[int], qs: list[Piece], few: list[Piece], os: list[Piece]
    ) -> tuple[int, bool]:
        """By the candidate under which a sample of matrices agree most."""
        total: dict[int, float] = {}
        for s in candidates:
            best = [max(self.heads.evidence(o.view, v.view, True, s) for v in few) for o in os[:SAMPLE]]
            best += [max(self.heads.evidence(q.view, k.view, False, s) for k in few) for q in qs[:SAMPLE]]
            total[s] = sum(best) / len(best) ** 0.5
        ranked = sorted(total, key=lambda s: -total[s])
        if total[ranked[0]] < 6:
            return default_size(candidates), False
        return ranked[0], total[ranked[0]] > total[ranked[1]] + 2

    def _whole(self, readers: list[Piece], os: list[Piece]) -> None:
        """Multi-head: q, k and v have one shape."""
        candidates, _ = sizes(os[0].inn, readers[0].out, self.config)
        coarse = candidates[0] if len(candidates) == 1 else max(candidates)
        vo = pairing(readers, os, self._score(True, coarse))
        if not any(ok for _, _, ok in vo) and len(readers) == 3 * len(os):
            vo = [(readers[3 * n + 2], o, False) for n, o in enumerate(os)]
        vs = {v.view for v, _, _ in vo}
        rest = [p for p in readers if p.view not in vs]
        pairs = self._couples(rest, coarse)
        size, clear = best_size(
            self.heads,
            candidates,
            [(a.view, b.view) for a, b, _ in pairs[: 2 * SAMPLE]],
            [(o.view, v.view) for v, o, _ in vo[: 2 * SAMPLE]],
        )
        ordered = [(b, a, ok) if self.alphabetical else (a, b, ok) for a, b, ok in pairs]
        self._join(ordered, vo, size, clear, sure_qk=False)

    def _couples(self, rest: list[Piece], size: int) -> list[tuple[Piece, Piece, bool]]:
        """Pairs of q and k, the most alike first; each in the order of the checkpoint."""
        n = len(rest)
        table = np.full((n, n), -1.0)
        for i in range(n):
            for j in range(i + 1, n):
                table[i, j] = self.heads.score(rest[i].view, rest[j].view, False, size)
        near = [[HINT * closeness(i // 2, n, j // 2, n) for j in range(n)] for i in range(n)]
        order = np.argsort(-(table + np.array(near).reshape(n, n)), axis=None, kind="stable")
        used: set[int] = set()
        found = []
        for i, j in (divmod(int(flat), n) for flat in order):
            if table[i, j] < 0 or i in used or j in used:
                continue
            others = [table[min(i, x), max(i, x)] for x in range(n) if x not in (i, j)]
            found.append((rest[i], rest[j], table[i, j] > max(others, default=0.0) + 2 * HINT))
            used |= {i, j}
        return found

    def _join(
        self,
        qk: list[tuple[Piece, Piece, bool]],
        vo: list[tuple[Piece, Piece, bool]],
        size: int,
        clear: bool,
        sure_qk: bool,
    ) -> None:
        """q and k go with the v that reads the stream through the same norm."""
        qk, vo = sorted(qk, key=lambda p: p[0].place), sorted(vo, key=lambda p: p[0].place)
        for (q, k, ok), (v, o, sure), joined in pairing(
            qk, vo, lambda a, b: self.same_input(a[:2], b[:1]), hint=self.hint
        ):
            doubts: set[Doubt] = set()
            doubts |= set() if ok and sure_qk else {"q and k"}
            doubts |= set() if sure else {"v and o"}
            doubts |= set() if joined else {"q, k with v, o"}
            doubts |= set() if clear else {"head size"}
            heads, groups = q.out // size, k.out // size
            self.found.append(
                Found(q.view, k.view, v.view, o.view, heads, groups, size, o.place, frozenset(doubts))
            )

    def same_input(self, a: Sequence[Piece], b: Sequence[Piece]) -> float:
        """How much two sets of readers look at the same channels."""
        best = 0.0
        for x in a:
            for y in b:
                one, two = self.heads.reader.traits(x.view), self.heads.reader.traits(y.view)
                if one is not None and two is not None:
                    logs = [np.log(t.squares[1] + 1e-30) for t in (one, two)]
                    best += alike(one.grams[1], two.grams[1]) + correlation(logs[0], logs[1])
        return best / (len(a) * len(b))

    def _fused(self, rows: list[Piece], os: list[Piece]) -> None:
        """One matrix of queries, keys and values: one after the other, or by turns in groups of heads."""
        many = os[0].inn
        few = (rows[0].out - many) // 2
        candidates, given = sizes(many, few, self.config)
        periods = [0, *candidates]
        sample = rows[:SAMPLE]
        totals = []
        for s in periods:
            parts = [parts_of(p, many, few, s) for p in sample]
            size = s or candidates[0 if given else -1]
            totals.append(sum(max(self.heads.score(o.view, v, True, size) for o in os) for _, _, v in parts))
        best = int(np.argmax(totals))
        rest = sorted(totals, reverse=True)
        sure = rest[0] > 0 and rest[0] > rest[1] + 2 * HINT
        period = periods[best] if rest[0] > 0 else 0
        size = period or (candidates[0] if given else candidates[-1])
        vo = pairing(
            rows, os, lambda p, o: self.heads.score(o.view, parts_of(p, many, few, period)[2], True, size)
        )
        clear = given or bool(period and sure)
        if not period and not given:
            split = [(o.view, *parts_of(p, many, few, 0)) for p, o, _ in vo[: 2 * SAMPLE]]
            size, clear = best_size(
                self.heads, candidates, [(q, k) for _, q, k, _ in split], [(o, v) for o, _, _, v in split]
            )
        taken = {o.view for _, o, _ in vo}
        self.squares = [p for p in self.squares if p.view not in taken]
        for p, o, ok in vo:
            doubts: set[Doubt] = set() if ok else {"v and o"}
            doubts |= set() if clear else {"head size"}
            doubts |= set() if sure else {"fused layout"}
            q, k, v = parts_of(p, many, few, period)
            self.found.append(
                Found(q, k, v, o.view, many // size, few // size, size, o.place, frozenset(doubts))
            )


def parts_of(piece: Piece, many: int, few: int, size: int) -> tuple[View, View, View]:
    """q, k and v of a fused matrix; interleaved in groups of heads of ``size`` dimensions unless 0."""
    view = piece.view
    if not size:
        cuts = (0, many), (many, many + few), (many + few, many + 2 * few)
        return tuple(replace(view, start=a, stop=b) for a, b in cuts)  # type: ignore[return-value]
    groups = few // size
    queries = many // groups
    period = queries + 2 * size
    starts = (0, queries), (queries, size), (queries + size, size)
    return tuple(replace(view, start=a, period=period, width=w) for a, w in starts)  # type: ignore[return-value]
