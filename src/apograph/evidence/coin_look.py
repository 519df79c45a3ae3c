"""From matched modules to their coins: as they stand, then, where that is silent, paired by content.

``Plan`` holds the modules; those that names tell are summed by the common reading pass (``Plan.fold``), all
else is read module by module, as sketches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Module
from apograph.align.pairing import as_stored, basis, paired
from apograph.align.role_modules import tower_pairs
from apograph.align.role_views import read, view_shape
from apograph.align.roles import Roles
from apograph.evidence.coin_products import ProductFold, Products
from apograph.evidence.coin_repeats import PART, distinct
from apograph.evidence.coin_sketch import parts, products, sketch
from apograph.evidence.coin_test import Coins, Pairing, coins_of, corrected
from apograph.release.tensor_store import TensorStore

ROWS_PER_CHANNEL = 4
"""Rows of the embeddings, for each channel, from which the rotation of the residual stream is found."""

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
        """The rotation of the residual streams of this width that the embeddings show."""
        if width not in self.turns:
            self.turns[width] = next(self._turns(width), None)
        return self.turns[width]

    def _turns(self, width: int) -> Iterator[NDArray[np.float32]]:
        for towers in tower_pairs(*self.roles):
            views = [t.embedding for t in towers if t.embedding is not None and t.width == width]
            if len(views) == 2:
                rows = min(view_shape(s, v)[0] for s, v in zip(self.stores, views, strict=True))
                rows = min(rows, ROWS_PER_CHANNEL * width)
                tables = [
                    read(s, replace(v, stop=v.start + rows)) for s, v in zip(self.stores, views, strict=True)
                ]
                found = basis(*tables)
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
    return corrected([c if c.speaks else _by_content(c, plan) for c in thrown])


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
