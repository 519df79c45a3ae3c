"""The towers of a checkpoint whose layers stand in order: runs of layers, with what stands around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apograph.align.role_adapters import find_adapters
from apograph.align.role_blocks import Layer, block
from apograph.align.role_heads import SAMPLE, Heads, Rotary, numbers, rotary
from apograph.align.role_inner_norms import find_norms, with_norms
from apograph.align.role_ordered import Ordered, read_run
from apograph.align.role_peek import Peek
from apograph.align.role_resampler import find_resamplers
from apograph.align.role_runs import Stored, beside, bias_side, find_runs, stored
from apograph.align.role_sheets import Reader, Sheet, Sorted, Vector
from apograph.align.role_streams import Piece
from apograph.align.role_tables import Tables, find_tables
from apograph.align.role_vectors import Vectors, is_gain
from apograph.align.roles import Kind, Norm, Roles, Tower, View
from apograph.findings import Json

OUTSIDE = 0.34
"""Share of the matrices that may stand outside all runs, beside ``FEW``."""
FEW = 8


def ordered_roles(sorted_: Sorted, reader: Reader, config: Mapping[str, Json]) -> Roles | None:
    """Towers and adapters (``left_over`` empty); None where too little of the checkpoint is in order."""
    return _Towers(sorted_, reader, config).roles()


@dataclass(slots=True)
class _Part:
    """One run and what stands outside all runs that is its own. ``last``: gain, then bias if any."""

    ordered: Ordered
    last: tuple[Vector, ...] = ()
    outside: tuple[Stored, ...] = ()


class _Towers:
    def __init__(self, sorted_: Sorted, reader: Reader, config: Mapping[str, Json]) -> None:
        self.reader, self.config = reader, config
        self.heads, self.peek = Heads(reader), Peek(reader)
        self.kernels = sorted_.kernels
        everything = stored(sorted_)
        self.adapters = find_adapters(everything, self.kernels, list(numbers(config, "intermediate")))
        thin = {v.name for pair in self.adapters for v in pair}
        self.tensors = [t for t in everything if _name(t) not in thin]
        self.doubtful: list[str] = []
        self.side = bias_side(self.tensors, reader)

    def roles(self) -> Roles | None:
        runs = find_runs(self.tensors, self.side, self.reader)
        read = [read_run(run, self.heads, self.peek, self.config, self.side) for run in runs]
        parts = [_Part(o) for o in read if o is not None]
        inside = {_name(t) for p in parts for slot in p.ordered.run.slots for t in slot}
        outside = [t for t in self.tensors if _name(t) not in inside]
        matrices = sum(isinstance(t, Sheet) for t in self.tensors)
        alone = sum(isinstance(t, Sheet) for t in outside)
        if (not parts and not (self.adapters and not matrices)) or alone > FEW + OUTSIDE * matrices:
            return None
        for part in parts:
            part.last = self._last(part.ordered, outside)
        taken = {t.name for p in parts for t in p.last}
        outside = [t for t in outside if _name(t) not in taken]
        resamplers = find_resamplers(outside, self.kernels, self.heads, self.side)
        taken = {n for r in resamplers for n in r.names}
        self._share([t for t in outside if _name(t) not in taken], parts)
        labels = _labels([p.ordered.width for p in parts])
        towers, doubtful = [], []
        for label, part in zip(labels, parts, strict=True):
            towers.append(self._tower(label, part))
            doubtful += [f"{b.label}: {d}" for b in towers[-1].blocks for d in sorted(self._doubts(part))]
        towers += [r.tower for r in resamplers]
        doubtful += [d for r in resamplers for d in r.doubtful]
        return Roles(tuple(towers), tuple(self.adapters), (), (*doubtful, *self.doubtful))

    def _last(self, ordered: Ordered, outside: Sequence[Stored]) -> tuple[Vector, ...]:
        """The norm right behind the layers, with a bias where theirs have one; else one that stands beside
        nothing but other layers, or the end."""
        layered = any(g in ordered.owner for g in ordered.gains)
        count = len(outside) - layered
        pairs = [tuple(outside[i : i + 1 + layered]) for i in range(count)]
        whole = [p for p in pairs if self._norm(p, ordered.width) and p[-1].place - p[0].place == layered]
        behind = [p for p in whole if p[0].place == ordered.run.stop]
        places = {t.place for t in outside}
        behind += [
            p for p in whole if layered and p[0].place > ordered.run.stop and p[-1].place + 1 not in places
        ]
        found = [t for t in (behind or [()])[0] if isinstance(t, Vector)]
        return tuple(sorted(found, key=lambda t: not is_gain(self.reader, t.name)))

    def _norm(self, pair: Sequence[Stored], width: int) -> bool:
        """A gain; or a gain and a bias, on the side where biases stand."""
        vectors = [t for t in pair[:: -self.side] if isinstance(t, Vector) and t.length == width]
        gains = [is_gain(self.reader, t.name) for t in vectors]
        return gains == [True, False][: len(pair)]

    def _share(self, outside: Sequence[Stored], parts: Sequence[_Part]) -> None:
        """Each to the run of its width, the nearest of several; a bias goes with its matrix."""
        homes: dict[str, _Part] = {}
        for t in outside:
            sides = {t.length} if isinstance(t, Vector) else {t.rows, t.columns}
            fits = [p for p in parts if p.ordered.width in sides]
            if fits:
                homes[_name(t)] = min(fits, key=lambda p: _apart(t.place, p.ordered))
        for v, m in beside(outside, self.side).items():
            home = homes.get(_name(outside[m]))
            if home is not None:
                homes.setdefault(_name(outside[v]), home)
        for part in parts:
            part.outside = tuple(t for t in outside if homes.get(_name(t)) is part)

    def _doubts(self, part: _Part) -> set[str]:
        first = part.ordered.layers[0]
        told = all(m.told for m in first.mlps)
        return part.ordered.doubts | (set() if told else {"gate and up"}) | part.ordered.more

    def _tower(self, label: str, part: _Part) -> Tower:
        ordered, width = part.ordered, part.ordered.width
        kernels = [t for t in part.outside if t in self.kernels and isinstance(t, Sheet)]
        pieces = [
            Piece(t.view, t.rows, t.columns, t.place)
            for t in part.outside
            if isinstance(t, Sheet) and t not in kernels
        ]
        ends = [ordered.layers[0], ordered.layers[-1]]
        tables = find_tables(pieces, kernels, ends, width, self.peek, ordered.alphabetical, self.config)
        norms = find_norms(ordered, self.peek)
        if not tables.sure:
            self.doubtful.append(f"{label}: embedding and head")
        if not norms.sure:
            ordered.more.add("norms")
        turn = self._rotary(ordered.layers, tables)
        vectors = Vectors({}, (), ordered.owners(), True)
        blocks = [
            block(f"{label}.{n}", layer, turn, (None, None), vectors)
            for n, layer in enumerate(ordered.layers)
        ]
        whole = with_norms(blocks, ordered, norms)
        closed = norms.place is not None and bool(norms.place[2])
        last, other = self._rest(part, closed)
        if norms.place is not None and closed:
            last = last or whole[-1].norms[norms.over.index(norms.place[0])]
        layered = any(g in ordered.owner for g in ordered.gains)
        return Tower(
            label,
            _kind(ordered, tables, turn, layered),
            width,
            whole,
            tables.embedding,
            tables.head,
            tables.positions,
            last,
            (*tables.other, *other),
        )

    def _rest(self, part: _Part, closed: bool) -> tuple[Norm | None, list[View]]:
        """The norm behind the last layer, none where the layers themselves end with one; other vectors."""
        vectors = [t for t in part.outside if isinstance(t, Vector)]
        gains = [t for t in vectors if t.length == part.ordered.width and is_gain(self.reader, t.name)]
        found = part.last
        if not found and gains and not closed:
            stop = part.ordered.run.stop
            gain = min(gains, key=lambda t: (t.place < stop, abs(t.place - stop)))
            bias = [t for t in vectors if t not in gains and abs(t.place - gain.place) == 1]
            found = (gain, *[t for t in bias if t.length == gain.length][:1])
        views = [View(t.name) for t in found]
        last = (
            Norm(views[0], views[1] if views[1:] else None, "layer" if views[1:] else "rms")
            if views
            else None
        )
        return last, [View(t.name) for t in vectors if t not in found]

    def _rotary(self, layers: Sequence[Layer], tables: Tables) -> Rotary:
        if tables.positions is not None:
            return "none"
        found = [y.attention for y in (*layers[:SAMPLE], *layers[-SAMPLE:]) if y.attention is not None]
        views = [v for a in found for v in (a.q, a.k)]
        return rotary(self.heads, views, found[0].size, self.config) if found else "unknown"


def _kind(ordered: Ordered, tables: Tables, turn: str, layered: bool) -> Kind:
    if tables.kernel or tables.segments:
        return "encoder"
    if turn in ("half", "pairs") or not layered or tables.head is not None:
        return "decoder"
    first = ordered.layers[0].attention
    return "decoder" if first is not None and first.q.turned else "other"


def _labels(widths: Sequence[int]) -> list[str]:
    """The widths, a running number behind those that occur again."""
    return [f"{w}.{n}" if (n := list(widths[:i]).count(w)) else f"{w}" for i, w in enumerate(widths)]


def _apart(place: int, ordered: Ordered) -> int:
    return max(ordered.run.start - place, place - ordered.run.stop + 1)


def _name(tensor: Stored) -> str:
    return tensor.name if isinstance(tensor, Vector) else tensor.view.name
