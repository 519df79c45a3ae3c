"""The MLPs over one residual stream: which gate, up and down hold the same hidden units, and which is which.

Up and gate are told apart by signs: a unit of up can be flipped with its column of down, so the rows of up
point anywhere, while gates have a direction in common. Where that is not clear, the gate is the one that
stands first in the checkpoint, as in all common orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from apograph.align.role_match import agreement, pairing
from apograph.align.role_sheets import Reader, Reals, whitened
from apograph.align.role_streams import Hidden, Piece
from apograph.align.roles import Mlp, View

CLEAR = 1.25
"""Ratio of the mean rows of gate and up from which one MLP alone is believed."""


@dataclass(frozen=True, slots=True)
class FoundMlp:
    """``up_out`` hidden units. ``paired``: content says that the matrices belong together; ``told``: that it
    also tells gate from up (True for an ungated one). ``stack``: the tensor whose experts stand together."""

    mlp: Mlp
    place: int
    paired: bool
    told: bool
    stack: str = ""


def find_mlps(hidden: Hidden, reader: Reader) -> list[FoundMlp]:
    """All MLPs of one hidden size, in the order of their down."""
    ups, downs = _bundles(hidden.readers), _bundles(hidden.writers)
    each = len(ups) // len(downs) if hidden.gated and not hidden.fused else 1
    size = hidden.size if hidden.fused else 0

    def score(a: list[Piece], b: list[Piece]) -> float:
        some = range(0, min(len(a), len(b)), max(1, len(b) // 4))
        return sum(_shared(a[n].view, b[n].view, size, reader) for n in some) / len(some)

    taken: dict[int, list[tuple[list[Piece], bool]]] = {}
    place = {id(d): n for n, d in enumerate(downs)}
    for a, b, ok in pairing(ups, downs, score, each):
        taken.setdefault(place[id(b)], []).append((a, ok))
    found = []
    for n, readers in sorted(taken.items()):
        if hidden.gated and not hidden.fused and len(readers) != 2:
            continue
        readers.sort(key=lambda r: r[0][0].place)
        ok = all(r[1] for r in readers)
        for item, down in enumerate(downs[n]):
            halves = _halves(readers[0][0][item].view, hidden) or [r[0][item].view for r in readers]
            stack = down.view.name if down.items else ""
            mlp = Mlp(halves[-1], down.view, halves[0] if hidden.gated else None)
            found.append(FoundMlp(mlp, down.place, ok, not hidden.gated, stack))
    found.sort(key=lambda f: f.place)
    return _gates(found, reader) if hidden.gated else found


def _bundles(pieces: Sequence[Piece]) -> list[list[Piece]]:
    groups: dict[str, list[Piece]] = {}
    for p in pieces:
        groups.setdefault(p.view.name, []).append(p)
    return list(groups.values())


def _halves(view: View, hidden: Hidden) -> list[View] | None:
    """Gate and up where they are one matrix."""
    if not hidden.fused:
        return None
    return [replace(view, start=0, stop=hidden.size), replace(view, start=hidden.size, stop=2 * hidden.size)]


def _shared(up: View, down: View, half: int, reader: Reader) -> float:
    a, b = reader.traits(up), reader.traits(down)
    if a is None or b is None:
        return 0.0
    rows: Reals = a.units[0]
    if half:
        rows = whitened(rows.reshape(2, half, rows.shape[1]).mean(axis=0))
    return agreement(rows, b.units[1])


def _gates(found: list[FoundMlp], reader: Reader) -> list[FoundMlp]:
    """The order that most MLPs show holds for all of them; where they differ each is judged by itself."""
    ratios = []
    for f in found:
        assert f.mlp.gate is not None
        gate, up = reader.traits(f.mlp.gate), reader.traits(f.mlp.up)
        known = gate is not None and up is not None
        ratios.append(math.log(gate.mean[0] / max(up.mean[0], 1e-9) + 1e-9) if known and gate and up else 0.0)
    clear = [r for r in ratios if abs(r) > math.log(CLEAR)]
    ahead = sum(r > 0 for r in clear)
    agreed = 0 if not clear else 1 if ahead >= 0.9 * len(clear) else -1 if ahead <= 0.1 * len(clear) else 0
    result = []
    for f, ratio in zip(found, ratios, strict=True):
        told = bool(agreed and len(clear) > 2) or abs(ratio) > math.log(CLEAR)
        swap = agreed < 0 if agreed and len(clear) > 2 else ratio < -math.log(CLEAR)
        mlp = replace(f.mlp, gate=f.mlp.up, up=f.mlp.gate or f.mlp.up) if swap else f.mlp
        result.append(replace(f, mlp=mlp, told=told))
    return result
