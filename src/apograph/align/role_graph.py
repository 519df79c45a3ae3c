"""The role graph of a checkpoint: which tensor plays which part, from shapes and content alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from apograph.align.role_attention import Found, Order, find_attentions
from apograph.align.role_blocks import (
    Layer,
    block,
    give_norms,
    group_experts,
    join_layers,
    norm_of,
)
from apograph.align.role_heads import SAMPLE, Heads, Rotary, rotary
from apograph.align.role_match import HINT
from apograph.align.role_mlps import FoundMlp, find_mlps
from apograph.align.role_peek import Peek
from apograph.align.role_sheets import Reader, Sorted, sort_tensors
from apograph.align.role_streams import Piece, Stream, find_streams, residual_gram
from apograph.align.role_tables import Tables, find_tables
from apograph.align.role_towers import ordered_roles
from apograph.align.role_vectors import Vectors, hidden_biases, sort_vectors
from apograph.align.roles import Kind, Norm, Roles, Tower, View
from apograph.findings import Json
from apograph.release.tensor_store import TensorStore

ORDERED = 0.5
"""What the order in the checkpoint is worth once content confirms it."""


def find_roles(store: TensorStore, config: Mapping[str, Json] = {}) -> Roles:
    """Towers, blocks and the part of every tensor. ``config`` only helps with the size of heads.

    Reads every matrix once. What rests on the order of the tensors in the checkpoint alone is named in
    ``doubtful``. Never raises for an unknown architecture: what is not told is left over.
    """
    reader, sorted_ = Reader(store), sort_tensors(store)
    ordered = ordered_roles(sorted_, reader, config)
    if ordered is not None:
        return _left(ordered, store)
    streams, _ = find_streams(sorted_.sheets, reader)
    vectors = sort_vectors(sorted_.vectors, store, reader)
    makers = [_Maker(s, sorted_, reader, vectors, config) for s in streams]
    towers = [t for m in makers for t in m.towers()]
    doubtful = tuple(d for m in makers for d in m.doubtful)
    return _left(Roles(tuple(towers), (), (), doubtful), store)


def _left(roles: Roles, store: TensorStore) -> Roles:
    """With the names of the tensors that have no role."""
    used = {v.name for t in roles.towers for v in views_of(t)} | {v.name for p in roles.adapters for v in p}
    return replace(roles, left_over=tuple(n for n in store.infos if n not in used))


class _Maker:
    """The towers over one stream."""

    def __init__(
        self,
        stream: Stream,
        all_: Sorted,
        reader: Reader,
        vectors: Vectors,
        config: Mapping[str, Json],
    ) -> None:
        self.stream, self.reader, self.vectors, self.config = stream, reader, vectors, config
        self.own = [s for s in all_.sheets if stream.width in (s.rows, s.columns)]
        self.kernels = [k for k in all_.kernels if k.rows == stream.width]
        self.heads = Heads(reader)
        self.doubtful: list[str] = []

    def towers(self) -> list[Tower]:
        """Blocks of one geometry make one tower; the tables go to the largest."""
        reference = residual_gram(self.own, self.stream.width, self.reader)
        mlps = [m for h in self.stream.hidden for m in find_mlps(h, self.reader)]
        hint = self._hint(mlps)
        alphabetical = sum(self._place(m.mlp.down) < self._place(m.mlp.up) for m in mlps) > len(mlps) / 2
        order = Order(hint, alphabetical)
        attentions, left = find_attentions(self.stream, self.heads, self.config, reference, order)
        attentions = [self._by_biases(a) for a in attentions]
        in_mlps = {v for m in mlps for v in (m.mlp.gate, m.mlp.up, m.mlp.down) if v is not None}
        names = {v.name for v in in_mlps}
        left += [p for h in self.stream.hidden for p in (*h.readers, *h.writers) if p.view.name not in names]
        routers = [p for p in left if self._router(p, mlps, attentions, left)]
        left = [p for p in left if p not in routers]
        layers = join_layers(attentions, group_experts(mlps, routers, self.reader, hint), self.reader, hint)
        tables = find_tables(
            left, self.kernels, layers, self.stream.width, Peek(self.reader), alphabetical, self.config
        )
        groups: dict[object, list[Layer]] = {}
        for layer in layers:
            groups.setdefault(_geometry(layer), []).append(layer)
        ordered = sorted(groups.values(), key=lambda g: -len(g))
        return [
            self._tower(n, g, tables if n == 0 else Tables(), layers, hint) for n, g in enumerate(ordered)
        ]

    def _hint(self, mlps: Sequence[FoundMlp]) -> float:
        """The order counts if the matrices that content puts together stand in one order, or if content says
        nothing at all."""
        sure = [m for m in mlps if m.paired]
        if len(sure) < 2:
            return ORDERED
        ups = np.argsort(np.argsort([self._place(m.mlp.up) for m in sure], kind="stable"))
        same = float(np.mean(ups == np.arange(len(sure))))
        return ORDERED if same > 0.8 else HINT

    def _by_biases(self, found: Found) -> Found:
        """The bias of k has no effect on the softmax and stays where it began, near zero; q's does not."""
        names = [self.vectors.owner.get(v.name) for v in (found.q, found.k)]
        if found.q.name == found.k.name or names[0] is None or names[1] is None:
            return found
        q, k = (float(np.abs(self.reader.vector(View(n))).mean()) for n in names if n is not None)
        if not min(q, k) < 0.2 * max(q, k):
            return found
        pair = (found.k, found.q) if q < k else (found.q, found.k)
        return replace(found, q=pair[0], k=pair[1], doubts=found.doubts - {"q and k"})

    def _place(self, view: View) -> int:
        return list(self.reader.store.infos).index(view.name)

    def _router(
        self, p: Piece, mlps: Sequence[FoundMlp], attentions: Sequence[Found], left: Sequence[Piece]
    ) -> bool:
        alike = sum(x.out == p.out and x.inn == p.inn for x in left)
        return len(mlps) > len(attentions) and p.inn == self.stream.width and alike * p.out == len(mlps)

    def _tower(
        self, n: int, layers: list[Layer], tables: Tables, every: Sequence[Layer], hint: float
    ) -> Tower:
        width = self.stream.width
        label = f"{width}" if n == 0 else f"{width}.{n}"
        gains = self.vectors.gains.get(width, []) if n == 0 or len(every) == len(layers) else []
        norms, others = give_norms(layers, gains, self.reader, hint)
        layered = any(b.length == width for b in self.vectors.biases)
        made = {key: norm_of(g, self.vectors, layered) for key, g in norms.items()}
        turn = self._rotary(layers, tables)
        blocks = tuple(
            block(f"{label}.{i}", y, turn, (made.get((i, 0)), made.get((i, 1))), self.vectors)
            for i, y in enumerate(layers)
        )
        self._doubts(label, layers)
        if not tables.sure:
            self.doubtful.append(f"{label}: embedding and head")
        extra = [norm_of(g, self.vectors, layered) for g in others]
        last = extra[-1] if extra else None
        other = (*tables.other, *(v for e in extra[:-1] for v in _norm_views(e)))
        biases = (self.vectors.owner.get(v.name) for v in (*tables.other,))
        other = (*other, *(View(b) for b in biases if b))
        tower = Tower(
            label,
            _kind(layers, tables, turn, layered),
            width,
            blocks,
            tables.embedding,
            tables.head,
            tables.positions,
            last,
            other,
        )
        return self._unordered_biases(tower)

    def _unordered_biases(self, tower: Tower) -> Tower:
        """Biases of hidden units where the order does not tell them."""
        if self.vectors.ordered:
            return tower
        ups = {m.up: (i, j) for i, b in enumerate(tower.blocks) for j, m in enumerate(b.mlps)}
        sizes = {self.reader.traits(u).squares[0].size for u in ups if self.reader.traits(u)}  # type: ignore[union-attr]
        biases = [b for b in self.vectors.biases if b.length in sizes and b.length != tower.width]
        if len(biases) != len(ups) or not biases:
            return tower
        blocks = list(tower.blocks)
        for bias, up, clear in hidden_biases(biases, list(ups), self.reader):
            i, j = ups[up]
            mlps = list(blocks[i].mlps)
            mlps[j] = replace(mlps[j], up_bias=View(bias.name))
            blocks[i] = replace(blocks[i], mlps=tuple(mlps))
            if not clear:
                self.doubtful.append(f"{blocks[i].label}: bias of up")
        return replace(tower, blocks=tuple(blocks))

    def _rotary(self, layers: Sequence[Layer], tables: Tables) -> Rotary:
        if tables.positions is not None or not layers:
            return "none"
        found = [y.attention for y in layers if y.attention is not None]
        views = [v for a in found[: 4 * SAMPLE] for v in (a.q, a.k)]
        return rotary(self.heads, views, found[0].size, self.config) if found else "unknown"

    def _doubts(self, label: str, layers: Sequence[Layer]) -> None:
        for i, y in enumerate(layers):
            doubts = set(y.doubts) | (set(y.attention.doubts) if y.attention else set())
            doubts |= {"gate and up with down"} if not all(m.paired for m in y.mlps) else set()
            doubts |= {"gate and up"} if not all(m.told for m in y.mlps) else set()
            self.doubtful += [f"{label}.{i}: {d}" for d in sorted(doubts)]
        if not self.stream.sure:
            self.doubtful.append(f"{label}: storage turned or not")


def _geometry(layer: Layer) -> object:
    a = layer.attention
    return None if a is None else (a.heads, a.groups, a.size, a.q.name == a.k.name, not layer.mlps)


def _kind(layers: Sequence[Layer], tables: Tables, turn: str, layered: bool) -> Kind:
    if tables.kernel:
        return "encoder"
    if layers and not any(y.mlps for y in layers):
        return "resampler"
    if tables.segments:
        return "encoder"
    if turn in ("half", "pairs") or (not layered and layers) or tables.head is not None:
        return "decoder"
    first = layers[0].attention if layers else None
    return "decoder" if first is not None and first.q.turned else "other"


def _norm_views(norm: Norm) -> list[View]:
    return [norm.gain, *([norm.bias] if norm.bias else [])]


def views_of(tower: Tower) -> list[View]:
    """Every view that a tower names."""
    found: list[View | None] = [tower.embedding, tower.head, tower.positions, *tower.other]
    norms: list[Norm | None] = [tower.last]
    for b in tower.blocks:
        norms += [b.before_attention, b.before_mlp, *b.norms]
        found.append(b.router)
        if b.attention is not None:
            a = b.attention
            found += [a.q, a.k, a.v, a.o, *a.biases]
            norms += [a.q_norm, a.k_norm, a.inner]
        for m in b.mlps:
            found += [m.up, m.down, m.gate, m.up_bias, m.down_bias, m.gate_bias]
            norms.append(m.inner)
    return [v for v in found if v is not None] + [v for n in norms if n for v in _norm_views(n)]
