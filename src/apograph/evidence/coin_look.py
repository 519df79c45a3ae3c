"""From matched modules to their coins: as they stand, then, where that is silent, paired by content.

``Plan`` holds the modules; those that names tell are summed by the common reading pass (``Plan.fold``), all
else is read module by module, as sketches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Module
from apograph.align.pairing import as_stored, paired
from apograph.align.role_modules import tower_pairs
from apograph.align.role_views import view_shape
from apograph.align.roles import Roles
from apograph.evidence.coin_products import ProductFold, Products
from apograph.evidence.coin_repeats import PART, distinct
from apograph.evidence.coin_sketch import CHANNELS, parts, products, sketch
from apograph.evidence.coin_test import Coins, Pairing, coins_of, corrected
from apograph.evidence.first_look import small, turn_of, worth
from apograph.release.tensor_store import TensorStore

WORK = 1 << 41
"""Multiplications that pairing by content may take: some minutes on two cores. Modules beyond it, evenly
spread over the layers, stay as stored."""

Stores = tuple[TensorStore, TensorStore]


@dataclass(frozen=True, slots=True)
class Plan:
    """``modules`` are summed by ``fold``, which has to see every block; ``others`` only the role graph tells.
    ``excluded`` counts what is left out, by reason."""

    stores: Stores
    modules: tuple[Module, ...]
    excluded: Counter[str]
    fold: ProductFold
    others: tuple[Module, ...] = ()
    roles: tuple[Roles, Roles] = (Roles(()), Roles(()))
    turns: dict[int, NDArray[np.float32] | None] = field(default_factory=dict)

    def turn(self, width: int) -> NDArray[np.float32] | None:
        """The rotation [width, width] of the residual streams that the embeddings show; None where they show
        none."""
        if width not in self.turns:
            self.turns[width] = next(self._turns(width), None)
        return self.turns[width]

    def _turns(self, width: int) -> Iterator[NDArray[np.float32]]:
        for towers in tower_pairs(*self.roles):
            found = turn_of(towers, self.stores) if towers[0].width == width else None
            if found is not None:
                yield found


def look(plan: Plan) -> tuple[Coins, ...]:
    """The coins of every module, after ``plan.fold`` has seen every block; p corrected for all that was
    tried. Units that repeat each other are thrown once."""
    thrown = [_as_stored(m, plan.stores, p) for m, p in plan.fold.finish().items()]
    for module in plan.others:
        a, b = (sketch(module, n, store) for n, store in enumerate(plan.stores))
        if as_stored(a, b):
            thrown.append(_as_stored(module, plan.stores, products(module, a, b)))
        else:
            thrown.append(Coins(module, 0, 0, 0.0, 0.0))
    again = _worth([c.module for c in thrown if not c.speaks], plan)
    return corrected([_by_content(c, plan) if c.module in again else c for c in thrown])


def _worth(silent: Sequence[Module], plan: Plan) -> set[Module]:
    """The modules to be paired by content: all of a small pair; of a large one those of the families and
    towers that a first look finds anything in, up to ``WORK``. What is left out is counted."""
    if small(plan.stores):
        return set(silent)
    groups: dict[tuple[str, str, bool], list[Module]] = {}
    for m in silent:
        groups.setdefault((m.tower, m.family, bool(m.slices)), []).append(m)
    found: list[Module] = []
    for own in groups.values():
        turn = plan.turn(view_shape(plan.stores[0], own[0].halves[0].near)[1])
        found += own if worth(own, plan.stores, turn) else []
    plan.excluded["sampled"] += len(silent) - len(found)
    kept, left = set(), WORK
    for n in sorted(range(len(found)), key=lambda n: n * 0.618034 % 1):
        left -= _work(found[n], plan.stores)
        if left >= 0:
            kept.add(found[n])
    plan.excluded["work"] += len(found) - len(kept)
    return kept


def _work(module: Module, stores: Stores) -> int:
    units = [view_shape(s, h.near)[0] for s, h in zip(stores, module.halves, strict=True)]
    return units[0] * units[1] * CHANNELS * (3 if module.family == "mlp" else 1 + module.shared**2)


def _as_stored(module: Module, stores: Stores, found: Products) -> Coins:
    coins = coins_of(module, found)
    if not coins.speaks:
        return coins
    sides = [sketch(module, n, store, channels=PART) for n, store in enumerate(stores)]
    kept = distinct(*(parts(module, s) for s in sides))
    return coins if kept is None else coins_of(module, found[:, kept])


def _by_content(silent: Coins, plan: Plan) -> Coins:
    """What pairs by content show, if they speak, else what was seen before."""
    module = silent.module
    turn = plan.turn(view_shape(plan.stores[0], module.halves[0].near)[1])
    a = sketch(module, 0, plan.stores[0], gated=True, turn=turn)
    b = sketch(module, 1, plan.stores[1], gated=True)
    if 0 in (*a.shape, *b.shape) or a.near.shape[1:] != b.near.shape[1:] or a.shape[1:] != b.shape[1:]:
        return silent
    a, b = paired(module.family, a, b)
    found = products(module, a, b)
    pairing: Pairing = "content" if turn is None else "rotated"
    coins = coins_of(module, found, pairing)
    if not coins.speaks:
        return silent
    kept = distinct(parts(module, a), parts(module, b))
    return coins if kept is None else coins_of(module, found[:, kept], pairing)
