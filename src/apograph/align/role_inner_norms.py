"""The norms of the layers of a run: before attention and MLP, of queries and keys, inside a module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from apograph.align.role_match import correlation
from apograph.align.role_ordered import Ordered
from apograph.align.role_peek import Peek
from apograph.align.role_runs import Stored
from apograph.align.role_sheets import Reals, Vector
from apograph.align.role_views import view_shape
from apograph.align.role_weigh import choose
from apograph.align.roles import Block, Norm, View

Place: TypeAlias = tuple[int, int, int]
"""Slot before the attention, slot before the MLP, and 1 where the first stands in the layer before."""


@dataclass(frozen=True, slots=True)
class Norms:
    """Slots of gains: ``over`` the stream, ``place`` those that the attention and the MLP read through; of
    ``q`` and ``k``; inside ``attention`` and ``mlp``. ``sure``: content decided ``place``."""

    over: tuple[int, ...]
    place: Place | None = None
    q: int | None = None
    k: int | None = None
    attention: int | None = None
    mlp: int | None = None
    sure: bool = True


def find_norms(ordered: Ordered, peek: Peek) -> Norms:
    """By their lengths, and those over the stream by the columns of what reads through them."""
    lengths = {g: _vector(ordered, g, 0).length for g in ordered.gains}
    over = tuple(g for g, n in lengths.items() if n == ordered.width)
    inside = [g for g in ordered.gains if g not in over]
    layer, (place, sure) = ordered.layers[0], _places(ordered, over, peek)
    found = Norms(over, place, sure=sure)
    if layer.mlps:
        hidden = view_shape(peek.reader.store, layer.mlps[0].mlp.up)[0]
        found = replace(found, mlp=next((g for g in inside if lengths[g] == hidden), None))
    if (a := layer.attention) is None:
        return found
    many, few = a.heads * a.size, a.groups * a.size
    heads = [g for g in inside if lengths[g] in (a.size, many, few) and g != found.mlp]
    if len(heads) == 1 and lengths[heads[0]] == many:
        return replace(found, attention=heads[0])
    if len(heads) != 2:
        return found
    if lengths[heads[0]] == lengths[heads[1]]:
        q, k = reversed(heads) if ordered.alphabetical else heads
    else:
        q, k = sorted(heads, key=lambda g: -lengths[g])
    return replace(found, q=q, k=k)


def _vector(ordered: Ordered, slot: int, layer: int) -> Vector:
    found = ordered.run.slots[slot][layer]
    assert isinstance(found, Vector)
    return found


def _places(ordered: Ordered, over: Sequence[int], peek: Peek) -> tuple[Place | None, bool]:
    """A gain and the columns of what reads through it are correlated after training. Where they are not: of
    two norms the first stands before the attention, unless the second ends the layer (the norms of BERT)."""
    if not over or ordered.layers[0].attention is None or not ordered.layers[0].mlps:
        one = over[0] if over else None
        return (None if one is None else (one, one, 0)), len(over) < 2
    if len(over) == 1:
        return (over[0], over[0], 0), True
    places = [(a, m, 0) for a in over for m in over if a != m]
    places += [(a, m, 1) for a in over for m in over if m < a]
    scores = [np.array(_agreements(ordered, p, peek)) for p in places]

    def rank(i: int) -> tuple[bool, int, int]:
        a, m, before = places[i]
        return bool(before) != _after(ordered, over), a, m

    chosen, equal = choose(places, scores, sorted(range(len(places)), key=rank))
    return places[chosen], len(equal) == 1


def _after(ordered: Ordered, over: Sequence[int]) -> bool:
    """Whether the norms stand as those of BERT do, behind attention and MLP: one between the two and one at
    the end of the layer; by the alphabet one first, and one between up and down."""
    layer = ordered.layers[0]
    slots = {_name(slot[0]): i for i, slot in enumerate(ordered.run.slots)}
    up, down = (slots[v.name] for v in (layer.mlps[0].mlp.up, layer.mlps[0].mlp.down))
    if ordered.alphabetical:
        return over[0] < 2 and up < over[-1] < down
    return 0 < over[0] < up < down < over[-1]


def _name(stored: Stored) -> str:
    return stored.name if isinstance(stored, Vector) else stored.view.name


def _agreements(ordered: Ordered, place: Place, peek: Peek) -> list[float]:
    a, m, before = place
    count = len(ordered.layers)
    found = []
    for n in np.unique(np.linspace(0, count - 1, min(count, 6)).round()).astype(int).tolist():
        layer = ordered.layers[n]
        reads, hidden = layer.reads()
        total = _agreement(ordered, m, n, peek, hidden[:2])
        if n >= before:
            total += _agreement(ordered, a, n - before, peek, reads)
        found.append(total)
    return found


def _agreement(ordered: Ordered, slot: int, layer: int, peek: Peek, views: Sequence[View]) -> float:
    gain = peek.reader.vector(View(_vector(ordered, slot, layer).name))
    values: Reals = np.log(np.abs(gain) + 1e-30)
    return abs(correlation(values, peek.columns(views)))


def with_norms(blocks: Sequence[Block], ordered: Ordered, norms: Norms) -> tuple[Block, ...]:
    """The blocks with their norms and the biases of these."""
    layered = any(g in ordered.owner for g in norms.over)

    def made(slot: int | None, layer: int) -> Norm | None:
        if slot is None or layer < 0:
            return None
        bias = ordered.owner.get(slot)
        view = None if bias is None else View(_vector(ordered, bias, layer).name)
        return Norm(View(_vector(ordered, slot, layer).name), view, "layer" if view or layered else "rms")

    found = []
    for n, block in enumerate(blocks):
        a, mlps = block.attention, block.mlps
        if a is not None:
            a = replace(a, q_norm=made(norms.q, n), k_norm=made(norms.k, n), inner=made(norms.attention, n))
        if norms.mlp is not None:
            mlps = tuple(replace(m, inner=made(norms.mlp, n)) for m in mlps)
        own = tuple(x for g in norms.over if (x := made(g, n)) is not None)
        first, second, before = norms.place or (None, None, 0)
        found.append(
            replace(
                block,
                attention=a,
                mlps=mlps,
                before_attention=made(first, n - before),
                before_mlp=made(second, n),
                norms=own,
            )
        )
    return tuple(found)
