"""The layers of a run: what each of its places is, decided by all layers together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from apograph.align.role_attention import Doubt, Found, parts_of
from apograph.align.role_blocks import Layer
from apograph.align.role_heads import Heads, best_size, numbers, sizes
from apograph.align.role_layout import Layout, Mlps, Parts, Shape, layouts
from apograph.align.role_mlps import FoundMlp
from apograph.align.role_peek import Peek, stream_gram
from apograph.align.role_runs import Run, beside
from apograph.align.role_sheets import Reals, Sheet, Vector
from apograph.align.role_streams import Piece, find_streams
from apograph.align.role_weigh import choose
from apograph.align.roles import Mlp, View
from apograph.findings import Json

LOOKED = 6
"""Layers that are looked at."""
MODULE = ("qkvo", "kvqo")
ALPHABET = ("koqv", "okqv", "kqvo")
"""Orders in which programs store an attention: as it is built, or by the alphabet."""
BY_TURNS = ("gpt_neox", "bloom", "falcon", "persimmon")
"""Architectures whose configuration tells that q, k, v are interleaved head by head."""
IDLE = 3.0
"""How many times larger the bias of q is than that of k, which has no effect on the softmax."""
TOLD = 0.3


@dataclass(slots=True)
class Ordered:
    """``gains``: slots of vectors that are gains; ``owner``: slots of biases by the slot they belong to.
    ``turned``: slots stored [in, out]; ``rest``: slots without a part."""

    run: Run
    width: int
    layers: list[Layer]
    gains: tuple[int, ...]
    owner: dict[int, int]
    alphabetical: bool
    rest: tuple[int, ...]
    doubts: set[str] = field(default_factory=set)
    more: set[str] = field(default_factory=set)

    def owners(self) -> dict[str, str]:
        """The names of biases by those of their matrices, of all layers."""
        pairs = [(self.run.slots[m], self.run.slots[v]) for m, v in self.owner.items()]
        return {
            a.view.name: b.name
            for one, two in pairs
            for a, b in zip(one, two, strict=True)
            if isinstance(a, Sheet) and isinstance(b, Vector)
        }


def read_run(run: Run, heads: Heads, peek: Peek, config: Mapping[str, Json], side: int) -> Ordered | None:
    """The layers of a run; None where its shapes are no layer of a known kind."""
    return _Run(run, heads, peek, config, side).read()


class _Run:
    def __init__(self, run: Run, heads: Heads, peek: Peek, config: Mapping[str, Json], side: int) -> None:
        self.run, self.heads, self.peek, self.config, self.side = run, heads, peek, config, side
        self.word = [slot[0] for slot in run.slots]
        some = np.linspace(0, run.layers - 1, min(run.layers, LOOKED))
        self.some = [int(n) for n in np.unique(np.round(some))]
        self.gains = tuple(i for i, t in enumerate(self.word) if isinstance(t, Vector) and self._gain(i))
        self.owner = self._owners()
        self.doubts: set[str] = set()

    def _gain(self, slot: int) -> bool:
        """Gains stay near one, biases around zero, in most layers."""
        votes = []
        for n in self.some:
            values = self.peek.reader.vector(View(self._stored(slot, n).name))
            votes.append(bool(abs(values.mean()) > max(values.std(), 0.02)))
        return 2 * sum(votes) > len(votes)

    def _stored(self, slot: int, layer: int) -> Vector:
        found = self.run.slots[slot][layer]
        assert isinstance(found, Vector)
        return found

    def _owners(self) -> dict[int, int]:
        """Biases by the slot that they belong to; none where most vectors beside no matrix are no gains."""
        found = {v: m for v, m in beside(self.word, self.side).items() if v not in self.gains}
        for g in self.gains:
            v = g - self.side
            near = self.word[v] if 0 <= v < len(self.word) else None
            if isinstance(near, Vector) and v not in self.gains and near.length == self._length(g):
                found[v] = g
        biases = sum(isinstance(t, Vector) for t in self.word) - len(self.gains)
        return {m: v for v, m in found.items()} if 4 * len(found) >= 3 * biases else {}

    def _length(self, slot: int) -> int:
        tensor = self.word[slot]
        return tensor.length if isinstance(tensor, Vector) else tensor.rows

    def read(self) -> Ordered | None:
        """The run's layers with their roles; None where no layout fits its tensors."""
        found = self._layout()
        if found is None:
            return None
        width, turned, layout = found
        self.width, self.turned = width, turned
        mlps = [self._mlps(m) for m in layout.mlps]
        alphabetical = (bool(self.owner) and self.side > 0) or any(
            m.writers[0] < m.readers[0] for m in layout.mlps
        )
        self.alphabetical = alphabetical
        attention = self._attention(layout, alphabetical) if layout.attentions else None
        layers = []
        for n in range(self.run.layers):
            own = [m for some in mlps for m in some[n]]
            router = None if layout.router is None else self._view(layout.router, n)
            layers.append(Layer(attention[n] if attention else None, own, router, set(self.doubts)))
        return Ordered(
            self.run, width, layers, self.gains, self.owner, self.alphabetical, layout.rest, self.doubts
        )

    def _sheets(self) -> dict[int, Sheet]:
        """Matrices by slot; masks of a few values are none."""
        sheets = {i: t for i, t in enumerate(self.word) if isinstance(t, Sheet)}
        return {i: t for i, t in sheets.items() if t.rows != t.columns or not self._mask(t.view)}

    def _mask(self, view: View) -> bool:
        return len(np.unique(self.peek.rows(view)[:64])) < 3

    def _layout(self) -> tuple[int, frozenset[int], Layout] | None:
        """Width, the slots stored [in, out], and the likeliest layout."""
        sheets = self._sheets()
        stacks = frozenset(i for i, t in sheets.items() if t.items)
        counts = Counter(d for t in sheets.values() for d in {t.rows, t.columns})
        hidden = [n for key in ("intermediate", "inner", "ffn") for n in numbers(self.config, key)]
        widths = sorted(counts, key=lambda d: (-counts[d], d not in numbers(self.config, "hidden_size")))
        votes = [self._vote(i, v) for i, v in self.owner.items() if i in sheets]
        best = None
        for rank, width in enumerate(widths[:3]):
            for turned in self._orientations(sheets, stacks, sum(votes)):
                shapes = {i: _oriented(t, i in turned) for i, t in sheets.items()}
                experts = max((t.items for t in sheets.values()), default=0)
                for x in layouts(shapes, width, experts, hidden)[:1]:
                    key = len(x.rest), not x.attentions, -sum(m.size in hidden for m in x.mlps), rank
                    if best is None or key < best[0]:
                        best = key, (width, turned, x), 1
                    elif key == best[0]:
                        best = key, best[1], best[2] + 1
        if best is None or (len(best[1][2].rest) and not best[1][2].attentions):
            return None
        if best[2] > 1:
            return self._by_content(best[1], sheets, stacks)
        return best[1]

    def _orientations(
        self, sheets: Mapping[int, Sheet], stacks: frozenset[int], vote: int
    ) -> Iterator[frozenset[int]]:
        plain = frozenset(sheets) - stacks
        for one in (frozenset[int](), plain):
            if vote and bool(one) == (vote > 0):
                continue
            yield one
            if stacks:
                yield one | stacks

    def _vote(self, slot: int, bias: int) -> int:
        """1 for a bias of the length of axis 0, -1 for one of axis 1."""
        sheet, length = self.word[slot], self._length(bias)
        assert isinstance(sheet, Sheet)
        return (length == sheet.rows) - (length == sheet.columns)

    def _by_content(
        self, best: tuple[int, frozenset[int], Layout], sheets: Mapping[int, Sheet], stacks: frozenset[int]
    ) -> tuple[int, frozenset[int], Layout] | None:
        """Shapes alone do not say whether storage is turned."""
        width = best[0]
        some = [t for i in sheets for t in self.run.slots[i] if isinstance(t, Sheet)]
        streams, _ = find_streams(some, self.peek.reader)
        stream = next((s for s in streams if s.width == width), None)
        if stream is None or not stream.sure:
            self.doubts.add("storage turned or not")
        turned = frozenset(sheets) - stacks if stream is not None and stream.turned else frozenset[int]()
        shapes = {i: _oriented(t, i in turned) for i, t in sheets.items()}
        found = layouts(shapes, width, max((t.items for t in sheets.values()), default=0), ())
        return (width, turned, found[0]) if found and not best[1] & stacks else best

    def _view(self, slot: int, layer: int, item: int | None = None) -> View:
        sheet = self.run.slots[slot][layer]
        assert isinstance(sheet, Sheet)
        return replace(sheet.view, turned=slot in self.turned, item=item)

    def _mlps(self, mlps: Mlps) -> list[list[FoundMlp]]:
        """The MLPs of each layer; gate stands before up in all usual orders."""
        groups: list[list[list[View]]] = []
        for n in range(self.run.layers):
            own = []
            for i, writer in enumerate(mlps.writers):
                per = len(mlps.readers) // len(mlps.writers)
                readers = mlps.readers[per * i : per * (i + 1)]
                for item in range(getattr(self.word[writer], "items", 0)) or (None,):
                    views = [self._view(r, n, item) for r in readers]
                    if mlps.kind == "fused":
                        whole, size = views[0], mlps.size
                        views = [replace(whole, start=a, stop=a + size) for a in (0, size)]
                    own.append([*views, self._view(writer, n, item)])
            groups.append(own)
        told, swap = True, False
        if mlps.kind != "plain":
            ratio = np.array(
                [np.log(self.peek.free(g[0][0]) / max(self.peek.free(g[0][1]), 1e-9) + 1e-9)
                 for g in (groups[n] for n in self.some)]
            )  # fmt: skip
            zero = np.zeros(len(ratio))
            swap, equal = bool((c := choose((0, 1), (zero + ratio, zero), (0, 1), 0.2))[0]), c[1]
            told = len(equal) == 1
        place = self.word[mlps.writers[0]].place
        period = len(self.word)
        made = []
        for n, own in enumerate(groups):
            found = []
            for views in own:
                gate, up = (None, views[0]) if mlps.kind == "plain" else (views[swap], views[not swap])
                stack = views[-1].name if views[-1].item is not None else ""
                found.append(FoundMlp(Mlp(up, views[-1], gate), place + n * period, True, told, stack))
            made.append(found)
        return made

    def _attention(self, layout: Layout, alphabetical: bool) -> list[Found]:
        readings = layout.attentions
        first = readings[0]
        candidates, given = sizes(first.queries, first.keys, self.config)
        coarse = candidates[0] if given else max(candidates)
        options: list[tuple[Parts, int]] = [(p, 0) for p in readings]
        if first.q == first.k:
            options += [(first, s) for s in candidates]
        stream = self._stream(layout)
        scores = [
            np.array([self._score(p, s, n, s or coarse, stream) for n in self.some]) for p, s in options
        ]
        chosen, equal = choose(options, scores, self._usual(options, alphabetical))
        parts, period = options[chosen]
        self.alphabetical = alphabetical or _order(parts) in ALPHABET
        doubts = _doubts(parts, [options[i][0] for i in equal])
        if len({options[i][1] for i in equal}) > 1:
            doubts |= {"fused layout"}
        views = [self._views(parts, period, n) for n in range(self.run.layers)]
        size, clear = (period or candidates[0], True) if given or period else self._size(candidates, views)
        doubts |= set() if clear else {"head size"}
        self.doubts |= doubts
        counts = parts.queries // size, parts.keys // size, size
        stores = (self.run.slots[parts.o][n].place for n in range(self.run.layers))
        return [Found(*v, *counts, place, frozenset(doubts)) for v, place in zip(views, stores, strict=True)]

    def _size(self, candidates: list[int], views: Sequence[tuple[View, ...]]) -> tuple[int, bool]:
        some = [views[n] for n in self.some]
        return best_size(self.heads, candidates, [v[:2] for v in some], [(v[3], v[2]) for v in some])  # type: ignore[misc]

    def _usual(self, options: Sequence[tuple[Parts, int]], alphabetical: bool) -> list[int]:
        """Readings from the commonest order to the least common."""
        orders = (*ALPHABET, *MODULE) if alphabetical else (*MODULE, *ALPHABET)
        by_turns = self.config.get("model_type") in BY_TURNS

        def rank(i: int) -> tuple[bool, int]:
            parts, period = options[i]
            order = _order(parts)
            return bool(period) != by_turns, orders.index(order) if order in orders else len(orders)

        return sorted(range(len(options)), key=rank)

    def _views(self, parts: Parts, period: int, layer: int) -> tuple[View, View, View, View]:
        o = self._view(parts.o, layer)
        if parts.q == parts.k:
            whole = Piece(self._view(parts.q, layer), parts.queries + 2 * parts.keys, 0, 0)
            return *parts_of(whole, parts.queries, parts.keys, period), o
        q, k, v = (self._view(s, layer) for s in (parts.q, parts.k, parts.v))
        return q, k, v, o

    def _stream(self, layout: Layout) -> Reals | None:
        """What the channels of the stream look like to the matrices that are not square."""
        reads, writes = [], []
        for n in self.some:
            for m in layout.mlps:
                reads.append(self.peek.inputs(self._view(m.readers[0], n, self._item(m.readers[0]))))
                writes.append(self.peek.outputs(self._view(m.writers[0], n, self._item(m.writers[0]))))
        return stream_gram(reads, writes)

    def _item(self, slot: int) -> int | None:
        return 0 if getattr(self.word[slot], "items", 0) else None

    def _score(self, parts: Parts, period: int, layer: int, size: int, stream: Reals | None) -> float:
        """How well v agrees with o and q with k, and which squares read the stream; the bias of k is idle."""
        views = self._views(parts, period, layer)
        q, k, v, o = views
        total = self.heads.score(o, v, True, size) + self.heads.score(q, k, False, size)
        if stream is not None and parts.q != parts.k:
            slots = parts.q, parts.k, parts.v, parts.o
            for slot, view, sign in zip(slots, views, (1, 1, 1, -1), strict=True):
                sheet = self.word[slot]
                if isinstance(sheet, Sheet) and sheet.rows == sheet.columns == self.width:
                    total += sign * self.peek.reads(view, stream)
        return total + self._idle(parts, q, k, layer)

    def _idle(self, parts: Parts, q: View, k: View, layer: int) -> float:
        slots = [self.owner.get(s) for s in (parts.q, parts.k)]
        if slots[0] is None or slots[1] is None:
            return 0.0
        means = []
        for slot, view in zip(slots, (q, k), strict=True):
            assert slot is not None
            bias = replace(view, name=self._stored(slot, layer).name, turned=False)
            means.append(float(np.abs(self.peek.reader.vector(bias)).mean()))
        return TOLD * ((means[0] > IDLE * means[1]) - (means[1] > IDLE * means[0]))


def _oriented(sheet: Sheet, turned: bool) -> Shape:
    return (sheet.columns, sheet.rows) if turned else (sheet.rows, sheet.columns)


def _order(parts: Parts) -> str:
    slots = {parts.q: "q", parts.k: "k", parts.v: "v", parts.o: "o"}
    return "".join(slots[s] for s in sorted(slots))


def _doubts(parts: Parts, equal: Sequence[Parts]) -> set[Doubt]:
    """What readings that are as good disagree in."""
    found: set[Doubt] = set()
    for x in equal:
        if (x.v, x.o) != (parts.v, parts.o):
            found |= {"v and o"}
        if x.v != parts.v:
            found |= {"q, k with v, o"}
        if (x.q, x.k) != (parts.q, parts.k):
            found |= {"q and k"}
    return found
