"""Recover the gauge: streams first, then layers, then the units of every module."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import PLAIN, Axis
from apograph.align.gauge.heads import Heads, heads_map
from apograph.align.gauge.layers import layer_pairs, some_of
from apograph.align.gauge.readers import before_attention, before_mlp, reader
from apograph.align.gauge.residual import stream_map
from apograph.align.gauge.sketch import Onto, onto, sketch
from apograph.align.gauge.table import table_of
from apograph.align.gauge.types import Gauge, Geometry, ModuleMap, Piece, StreamMap
from apograph.align.gauge.units import unit_map
from apograph.align.role_views import part, read, view_shape
from apograph.align.roles import Attention, Block, Mlp, Roles, Tower, View
from apograph.release.tensor_store import TensorStore

Floats: TypeAlias = NDArray[Any]
Stores: TypeAlias = tuple[TensorStore, TensorStore]


LIMIT = 3600.0
"""Seconds after which no further layer is begun."""


def recover(
    reference: TensorStore,
    candidate: TensorStore,
    roles_a: Roles,
    roles_b: Roles,
    limit: float = LIMIT,
) -> Gauge:
    """The map from the candidate's order, signs, scales and basis to the reference's.

    Towers of one width, of one kind if possible, are taken in their order. Memory: what the stream needs
    (``residual``), or the sketches of one layer's MLP, or its v and k twice with the sketches of q and o, and
    blocks of ``sketch.STEP`` elements. Whether what was found is more than lossless changes reach between
    strangers is not decided here: ``ModuleMap.held`` and ``chance`` say how well units agree in a matrix that
    was not used. Layers that are not begun within ``limit`` seconds are named in ``late``.
    Raises Refusal as the stores do.
    """
    started = time.monotonic()
    stores = reference, candidate
    found = Gauge((), (), ())
    free = list(roles_b.towers)
    for tower in roles_a.towers:
        same = [t for t in free if t.width == tower.width]
        other = next((t for t in same if t.kind == tower.kind), same[0] if same else None)
        if other is not None:
            free.remove(other)
            found = _joined(found, _Towers(stores, (tower, other), len(found.streams), started + limit).run())
    return replace(found, seconds=time.monotonic() - started)


def _joined(a: Gauge, b: Gauge) -> Gauge:
    count = len(a.modules)
    pieces = tuple(p if p.module is None else replace(p, module=p.module + count) for p in b.pieces)
    return Gauge(
        a.streams + b.streams,
        a.modules + b.modules,
        a.pieces + pieces,
        a.layers + b.layers,
        a.left + b.left,
        a.spare + b.spare,
        a.late + b.late,
    )


class _Towers:
    """Two towers that answer each other."""

    def __init__(self, stores: Stores, towers: tuple[Tower, Tower], number: int, stop: float) -> None:
        self.stores, self.towers, self.number, self.stop = stores, towers, number, stop
        self.modules: list[ModuleMap] = []
        self.pieces: list[Piece] = []

    def run(self) -> Gauge:
        self.stream = self._stream()
        self.plain, self.turned = onto(self.stream.width), onto(self.stream.width, self.stream.axis)
        blocks = self.towers[0].blocks, self.towers[1].blocks
        pairs = layer_pairs(
            [partial(self._some, block) for block in blocks[0]],
            [partial(self._all, block) for block in blocks[1]],
            self.plain,
        )
        late = []
        for i, j in pairs:
            if time.monotonic() > self.stop:
                late.append((blocks[0][i].label, blocks[1][j].label))
            else:
                self._block(blocks[0][i], blocks[1][j])
        if pairs:
            self._tables()
        used = {i for i, _ in pairs}, {j for _, j in pairs}
        return Gauge(
            (self.stream,),
            tuple(self.modules),
            tuple(self.pieces),
            tuple((blocks[0][i].label, blocks[1][j].label) for i, j in pairs),
            tuple(b.label for i, b in enumerate(blocks[0]) if i not in used[0]),
            tuple(b.label for j, b in enumerate(blocks[1]) if j not in used[1]),
            tuple(late),
        )

    def _stream(self) -> StreamMap:
        (a, vocabulary), (b, other) = (table_of(*x) for x in zip(self.stores, self.towers, strict=True))
        plain = StreamMap(self.towers[0].label, "same", PLAIN, self.towers[0].width, 0.0)
        if vocabulary != other or a is None or b is None or not (vocabulary or a.count == b.count):
            return plain
        found = stream_map(self.towers[0].label, a, b, vocabulary) or plain
        tower = self.towers[1]
        views = [v for v in (tower.embedding, tower.positions, *tower.other) if v is not None]
        if found.axis.mix is None or self.stores[1].dtype(views[0].name) in ("F32", "F64"):
            return found
        # Stored in 16 bits or fewer: rounding to float32 is nothing beside that.
        return replace(found, axis=replace(found.axis, mix=found.axis.mix.astype(np.float32)))

    def _telling(self, side: int, block: Block) -> tuple[View, Floats | None] | None:
        """The rows by which a layer is told from others, up's or v's, and the gains before them."""
        if block.mlps:
            view, norm = block.mlps[0].up, before_mlp(block)
        elif block.attention is not None:
            view, norm = block.attention.v, before_attention(block)
        else:
            return None
        if view_shape(self.stores[side], view)[1] != self.stream.width:
            return None
        return view, None if norm is None else read(self.stores[side], norm.gain)

    def _some(self, block: Block) -> Floats | None:
        """Some of the reference's rows."""
        found = self._telling(0, block)
        if found is None:
            return None
        view, gains = found
        rows = part(self.stores[0], view, some_of(view_shape(self.stores[0], view)[0]))
        return rows if gains is None else rows * gains

    def _all(self, block: Block) -> Floats | None:
        """Sketches of all of the candidate's rows in the reference's channels."""
        found = self._telling(1, block)
        if found is None:
            return None
        view, gains = found
        axis = self.stream.axis
        turned = self.turned if gains is None else onto(len(gains), axis.scaled(gains, np.ones(len(gains))))
        return sketch(self.stores[1], view, turned)

    def _block(self, a: Block, b: Block) -> None:
        if a.attention is not None and b.attention is not None:
            into, folded = reader(self.stream.axis, (before_attention(a), before_attention(b)), self.stores)
            self._attention((a.label, b.label), (a.attention, b.attention), into, folded)
        into, folded = reader(self.stream.axis, (before_mlp(a), before_mlp(b)), self.stores)
        for one, other in self._experts(a, b, into):
            self._mlp((a.label, b.label), (one, other), into, folded)

    def _experts(self, a: Block, b: Block, into: Axis) -> Sequence[tuple[Mlp, Mlp]]:
        if len(a.mlps) == len(b.mlps) == 1:
            return [(a.mlps[0], b.mlps[0])]
        maps = self._onto(into)

        def some(mlp: Mlp) -> Floats:
            return part(self.stores[0], mlp.up, some_of(view_shape(self.stores[0], mlp.up)[0]))

        pairs = layer_pairs(
            [partial(some, m) for m in a.mlps],
            [partial(sketch, self.stores[1], m.up, maps[1]) for m in b.mlps],
            maps[0],
        )
        if a.router is not None and b.router is not None and len(pairs) == len(a.mlps):
            order = np.array([j for _, j in sorted(pairs)], np.int64)
            self._piece(a.router, b.router, Axis(index=order), into, None)
        return [(a.mlps[i], b.mlps[j]) for i, j in pairs]

    def _onto(self, into: Axis) -> tuple[Onto, Onto]:
        """The sketches of what reads the stream, of either side."""
        return self.plain, self.turned if into is self.stream.axis else onto(self.stream.width, into)

    def _sketches(
        self, views: Sequence[tuple[View, View]], maps: Sequence[tuple[Onto, Onto]], axes: Sequence[int]
    ) -> list[tuple[Floats, Floats]]:
        """Of pairs of views, two matrices at a time."""
        with ThreadPoolExecutor(2) as pool:
            made = [
                [pool.submit(sketch, s, v, o, axis) for s, v, o in zip(self.stores, pair, both, strict=True)]
                for pair, both, axis in zip(views, maps, axes, strict=True)
            ]
            return [(x.result(), y.result()) for x, y in made]

    def _fit(self, views: Sequence[tuple[View, View]], axis: int) -> bool:
        """Whether both sides have the same number of channels."""
        sizes = [[view_shape(s, v)[axis] for s, v in zip(self.stores, pair, strict=True)] for pair in views]
        return all(x == y == self.stream.width for x, y in sizes)

    def _into(self, into: Axis, view: View) -> Floats:
        return np.asarray(into.last(read(self.stores[1], view)), np.float32)

    def _mlp(self, labels: tuple[str, str], mlps: tuple[Mlp, Mlp], into: Axis, folded: bool) -> None:
        a, b = mlps
        if (a.gate is None) != (b.gate is None):
            return
        readers = [(a.up, b.up)]
        if a.gate is not None and b.gate is not None:
            readers.append((a.gate, b.gate))
        if not (self._fit(readers, 1) and self._fit([(a.down, b.down)], 0)):
            return
        maps = [*[self._onto(into)] * len(readers), (self.plain, self.turned)]
        axes = [*[1] * len(readers), 0]
        up, *gates, down = self._sketches([*readers, (a.down, b.down)], maps, axes)
        units = unit_map(up, down, gates[0] if gates else None)
        number = len(self.modules)
        self.modules.append(
            ModuleMap(
                "mlp",
                *labels,
                units.held,
                units.chance,
                len(up[0]),
                units.paired,
                units.moved,
                units.flipped,
                units.scale,
                folded=folded,
            )
        )
        self._piece(a.up, b.up, units.up, into, number)
        self._piece(a.down, b.down, self.stream.axis, units.down, number)
        if a.gate is not None and b.gate is not None:
            self._piece(a.gate, b.gate, units.gate, into, number)

    def _attention(
        self, labels: tuple[str, str], parts: tuple[Attention, Attention], into: Axis, folded: bool
    ) -> None:
        a, b = parts
        if a.cross != b.cross:
            return
        other = PLAIN if a.cross else into
        narrow, wide = [(a.k, b.k), (a.v, b.v)], [(a.q, b.q), (a.o, b.o)]
        keys = {view_shape(s, v)[1] for pair in narrow for s, v in zip(self.stores, pair, strict=True)}
        if not (self._fit(wide[:1], 1) and self._fit(wide[1:], 0)) or len(keys) != 1:
            return
        q, o = self._sketches(wide, [self._onto(into), (self.plain, self.turned)], [1, 0])
        k, v = ((read(self.stores[0], x), self._into(other, y)) for x, y in narrow)
        mine, theirs = ((q[n], k[n], v[n], o[n]) for n in (0, 1))
        shapes = Geometry(a.heads, a.groups, a.size), Geometry(b.heads, b.groups, b.size)
        found = heads_map((mine, theirs), shapes, a.rotary)
        if found is not None:
            self._heads(labels, parts, found, (into, other), folded, shapes)

    def _heads(
        self,
        labels: tuple[str, str],
        parts: tuple[Attention, Attention],
        found: Heads,
        axes: tuple[Axis, Axis],
        folded: bool,
        shapes: tuple[Geometry, Geometry],
    ) -> None:
        a, b = parts
        into, other = axes
        there = found.groups >= 0
        moved = int((found.groups[there] != np.flatnonzero(there)).sum())
        for family, half in (("vo", found.vo), ("qk", found.qk)):
            number = len(self.modules)
            self.modules.append(
                ModuleMap(
                    "vo" if family == "vo" else "qk",
                    *labels,
                    half.held,
                    half.chance,
                    len(there),
                    int(there.sum()),
                    moved,
                    half.flipped,
                    half.scale,
                    half.mixing.kind,
                    folded,
                    shapes,
                )
            )
            if family == "vo":
                self._piece(a.v, b.v, half.narrow, other, number)
                self._piece(a.o, b.o, self.stream.axis, half.wide, number)
            else:
                self._piece(a.k, b.k, half.narrow, other, number)
                self._piece(a.q, b.q, half.wide, into, number)

    def _tables(self) -> None:
        """Tables over the stream: embedding and head with the rows' order."""
        a, b = self.towers
        rows = Axis(index=self.stream.rows)
        axis = self.stream.axis
        if a.embedding is not None and b.embedding is not None:
            count = [
                view_shape(s, v)[0] for s, v in zip(self.stores, (a.embedding, b.embedding), strict=True)
            ]
            rows = rows if self.stream.rows is not None else _cut(*count)
            self._piece(a.embedding, b.embedding, rows, axis, None)
        if a.head is not None and b.head is not None and a.head != a.embedding:
            into, _ = reader(axis, (a.last, b.last), self.stores)
            if view_shape(self.stores[0], a.head)[0] == view_shape(self.stores[0], a.embedding or a.head)[0]:
                self._piece(a.head, b.head, rows, into, None)

    def _piece(self, a: View, b: View, out: Axis, into: Axis, module: int | None) -> None:
        self.pieces.append(Piece(a, b, out, into, module, self.number))


def _cut(count: int, other: int) -> Axis:
    """The first rows of a longer table, or zeros below a shorter one."""
    if count == other:
        return PLAIN
    places = np.arange(count, dtype=np.int64)
    return Axis(index=np.where(places < other, places, -1))
