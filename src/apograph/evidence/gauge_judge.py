"""Whether a recovered gauge says more than lossless changes of a stranger could."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

import numpy as np

from apograph.align.gauge import Gauge
from apograph.align.gauge.types import Family, Geometry, ModuleMap, Piece
from apograph.align.role_views import part, view_shape
from apograph.align.roles import View
from apograph.evidence.coin_ceiling import CHANNELS, GROUPS, Units, ceilings
from apograph.release.tensor_store import TensorStore

FAMILIES: tuple[Family, ...] = ("mlp", "vo", "qk")
BEYOND = 2.0
"""How many times what lossless changes reach units have to agree, in the matrix that was not used."""
REACHED: dict[Family, float] = {"mlp": 0.231, "vo": 0.300, "qk": 0.110}
"""The |cosine| that full lossless optimisation of one independent model towards another reached at width 256;
wider models reach less. No threshold is below twice that."""
TRIED = 4
"""Modules of each family that are optimised to find what this pair could reach."""
CHANCE = 3.0
"""How many times units have to agree better than units that do not belong together, at most half the way from
there to 1: the heads of a trained model are alike to begin with."""


@dataclass(frozen=True, slots=True)
class Judged:
    """``needed`` is the agreement that each family has to exceed; ``counts`` are the places of modules that
    do; ``best`` is the largest ratio of a family's median agreement to what it needs."""

    needed: dict[Family, float]
    counts: tuple[int, ...]
    best: float


def judged(gauge: Gauge, stores: tuple[TensorStore, TensorStore]) -> Judged:
    """Which modules agree beyond what lossless changes can reach. Raises Refusal as the stores do."""
    reached = dict(REACHED)
    for family, value in _ceilings(gauge, stores):
        reached[family] = max(reached[family], value)
    needed = {family: BEYOND * value for family, value in reached.items()}
    counts = tuple(
        n
        for n, m in enumerate(gauge.modules)
        if m.held >= needed[m.family] and m.held >= min(CHANCE * m.chance, (1 + m.chance) / 2)
    )
    ratios = [
        median(m.held for m in gauge.modules if m.family == family) / needed[family]
        for family in {m.family for m in gauge.modules}
    ]
    return Judged(needed, counts, max(ratios, default=0.0))


def _ceilings(gauge: Gauge, stores: tuple[TensorStore, TensorStore]) -> list[tuple[Family, float]]:
    """What the first modules of each family could be made to agree with random weights."""
    pieces: dict[int, list[Piece]] = defaultdict(list)
    for piece in gauge.pieces:
        if piece.module is not None:
            pieces[piece.module].append(piece)
    streams: dict[tuple[int, int], list[tuple[Family, Units]]] = defaultdict(list)
    for family in FAMILIES:
        chosen = [n for n, m in enumerate(gauge.modules) if m.family == family][:TRIED]
        for number in chosen:
            for side, store in enumerate(stores):
                near, far = (p.candidate if side else p.reference for p in pieces[number][:2])
                units = _units(gauge.modules[number], store, near, far, side)
                streams[side, units.shape[-1]].append((family, units))
    return [
        (family, value)
        for parts in streams.values()
        for (family, _), value in zip(parts, ceilings([p for _, p in parts]), strict=True)
    ]


def _units(module: ModuleMap, store: TensorStore, near: View, far: View, side: int) -> Units:
    """The beginning of a module as ``coin_ceiling.Units``: up and down, v and o, or k and q."""
    count, width = view_shape(store, near)
    some = np.arange(min(width, CHANNELS))
    if module.family == "mlp" or module.geometry is None:
        units = np.arange(min(count, GROUPS))
        both: Units = np.stack([part(store, near, units, some), part(store, far, some, units).T], axis=1)
        return both[:, None, None]
    shape: Geometry = module.geometry[side]
    wide = part(store, far, some).T if module.family == "vo" else part(store, far, None, some)
    split = wide.reshape(shape.groups, -1, shape.size, len(some)).transpose(0, 2, 1, 3)
    narrow = part(store, near, None, some).reshape(shape.groups, shape.size, 1, len(some))
    heads: Units = np.concatenate([narrow, split], axis=2)
    kept = max(4, shape.size * len(some) // width)
    if module.family == "vo":
        return heads[:, None, :kept]
    half = shape.size // 2
    planes = heads.reshape(len(heads), 2, half, *heads.shape[2:]).transpose(0, 2, 1, 3, 4)
    return planes[:, : kept // 2]
