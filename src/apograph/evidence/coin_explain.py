"""Which coins a base explains: it has them in common with the reference as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from apograph.align.modules import place_of
from apograph.align.tensors import akin, match_tensors
from apograph.evidence.coin_look import Plan, look
from apograph.evidence.coin_products import ProductFold
from apograph.evidence.coin_test import Coins
from apograph.evidence.registry import Case
from apograph.evidence.sources import opened_sources
from apograph.evidence.stream import stream

Place = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Known:
    """``places`` of modules whose coins a base has as well; how many ``bases`` have weights that could be
    read and are akin to the reference's; ``novel`` tensors of the reference that none of them has."""

    places: frozenset[Place] = frozenset()
    bases: int = 0
    novel: frozenset[str] = frozenset()


def explain(case: Case, planned: Plan, passed: Sequence[Coins], plan: Callable[..., Plan]) -> Known:
    """Hold every base and claimed source against the reference, in the modules that passed. ``plan`` is
    ``coins.plan``."""
    wanted = {c.module.place for c in passed}
    places: set[Place] = set()
    novel: frozenset[str] | None = None
    read = 0
    reference = planned.stores[0]
    for base, store in opened_sources(case) if passed else ():
        found = match_tensors(store, reference)
        if akin(found, store):
            read += 1
            left = frozenset(found.unmatched_candidate)
            novel = left if novel is None else novel & left
        stores = store, reference
        configs = dict(base.config), dict(case.reference.config)
        whole = plan(found.matches, stores, configs)
        modules = tuple(m for m in whole.modules if place_of(m, 1) in wanted)
        others = tuple(m for m in whole.others if place_of(m, 1) in wanted)
        inner = replace(whole, modules=modules, others=others, fold=ProductFold(modules))
        stream(inner.fold.matches, store, reference, [inner.fold])
        places |= {place_of(c.module, 1) for c in look(inner) if c.counts}
    return Known(frozenset(places), read, novel or frozenset())
