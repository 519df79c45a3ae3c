"""Sign coins: an exact test of whether initial weights are independent.

``plan`` says which modules can be tested, ``Plan.fold`` joins the common reading pass, ``findings`` says what
it showed. Everything that would make a fair coin unfair is left out: see ``align.modules`` for the symmetric
families, and below for quantised storage, repeated units and what a base explains. The family of residual
channels is never tested (``docs/coins.md`` says why).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from apograph.align.modules import FAMILIES, Excluded, Half, Module, find_modules
from apograph.align.role_modules import role_modules, roles_of
from apograph.align.role_views import view_shape
from apograph.align.roles import Roles, View
from apograph.align.tensors import Match
from apograph.evidence import coin_ceiling
from apograph.evidence.coin_ceiling import Units, ceilings, part_of
from apograph.evidence.coin_explain import explain
from apograph.evidence.coin_figures import exhibits, towers
from apograph.evidence.coin_look import Plan, Stores, look
from apograph.evidence.coin_products import ProductFold
from apograph.evidence.coin_repeats import once
from apograph.evidence.coin_sketch import sketch
from apograph.evidence.coin_test import Coins, pooled
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Json, Measure, Message, Param, Strength

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
BEYOND = 2.0
"""How many times what lossless changes reach the units' likeness has to be."""
TRIED = 4
"""Modules of each family that are optimised to find that."""
LIMITS = ("pairings", "forgery", "revisions", "uniform", "distilled", "residual")
ALTERNATIVES = ("seed", "ancestor", "adjusted")


def plan(
    matches: Sequence[Match],
    stores: Stores,
    configs: tuple[Mapping[str, Json], Mapping[str, Json]],
    roles: tuple[Roles, Roles] | None = None,
) -> Plan:
    """Find the modules, by names, and by the role graph where names do not tell. A module stored on both
    sides in a quantised type is left out: rounding to its grid need not commute with a change of sign.
    ``roles`` are those of ``roles_of`` where they are known already."""
    found, left_out = find_modules(matches, stores, configs)
    roles = roles or roles_of(stores, configs)
    told, also = role_modules(roles, stores, configs, matches)
    by_place = {m.place: m for m in told}
    found = [_enriched(m, by_place.get(m.place)) for m in found]
    named = {m.place for m in found}
    others = [m for m in told if m.place not in named]
    left_out = _still_out([*left_out, *also], others, found)
    reasons: Counter[str] = Counter(str(e.reason) for e in left_out)
    modules = [m for m in found if _floats(m, stores)]
    others, all_others = [m for m in others if _floats(m, stores)], others
    reasons["quantised"] += len(found) + len(all_others) - len(modules) - len(others)
    return Plan(stores, tuple(modules), reasons, ProductFold(modules), tuple(others), roles)


def _floats(module: Module, stores: Stores) -> bool:
    return any(
        all(store.dtype(view.name) in FLOATS for view in (half.near, half.far))
        for store, half in zip(stores, module.halves, strict=True)
    )


def _enriched(module: Module, told: Module | None) -> Module:
    """A module of names with the gate and the norm that the role graph knows."""
    if told is None:
        return module
    halves = []
    for own, other in zip(module.halves, told.halves, strict=True):
        # The graph may take gate for up; likeness to the gate is used without a sign.
        gates = [v for v in (other.gate, other.near) if v is not None and v.name != own.near.name]
        halves.append(Half(own.near, own.far, gates[0] if gates else other.gate, other.gain))
    return replace(module, roles=(halves[0], halves[1]))


def _still_out(
    left_out: Sequence[Excluded], others: Sequence[Module], named: Sequence[Module]
) -> list[Excluded]:
    """What neither names nor the graph allow to test, each layer and family once."""
    told = [(m.family, m.label) for m in (*others, *named)]
    kept: dict[tuple[str, str], Excluded] = {}
    for e in left_out:
        if not any(f == e.family and (_within(e.label, x) or _within(x, e.label)) for f, x in told):
            known = next((k for k in kept if k[0] == e.family and _within(k[1], e.label)), None)
            if known is None and not any(_within(e.label, k[1]) for k in kept if k[0] == e.family):
                kept[e.family, e.label] = e
    return list(kept.values())


def _within(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def findings(case: Case, planned: Plan) -> Iterator[Finding]:
    """What the coins show, after the fold has seen every block. Nothing where no module can be tested."""
    coins = look(planned)
    if not coins:
        return
    counted = [c for c in coins if c.counts]
    passed = once(counted, planned.stores)
    planned.excluded["repeated"] += len(counted) - len(passed)
    known = explain(case, planned, passed, plan)
    beyond = [c for c in passed if c.module.place not in known.places]
    ratio = effect(beyond, planned.stores) if beyond else None
    yield _finding(planned, coins, passed, beyond, ratio, known.bases)
    novel = [c for c in beyond if known.bases and {v.name for v in _ends(c.module)} <= known.novel]
    if novel:
        yield _novel(novel)


def _ends(module: Module) -> tuple[View, View]:
    return module.halves[0].near, module.halves[0].far


def effect(coins: Sequence[Coins], stores: Stores) -> tuple[float, float]:
    """(median |cosine| of the units, how many times the ceiling of lossless changes that is): of the family
    that stands out most; the higher ceiling of both sides counts."""
    best = (0.0, 0.0)
    chosen = [c for f in FAMILIES for c in [x for x in coins if x.module.family == f][:TRIED]]
    tops: dict[str, float] = {}
    for side, store in enumerate(stores):
        streams: dict[int, list[tuple[str, Units]]] = {}
        for c in chosen:
            width = view_shape(store, c.module.halves[side].near)[1]
            part = part_of(c.module, sketch(c.module, side, store, channels=coin_ceiling.CHANNELS), width)
            streams.setdefault(part.shape[-1], []).append((c.module.family, part))
        for parts in streams.values():
            for (family, _), top in zip(parts, ceilings([p for _, p in parts]), strict=True):
                tops[family] = max(tops.get(family, 0.0), top)
    for family, top in tops.items():
        cosine = median(c.cosine for c in coins if c.module.family == family)
        if top > 0:  # no side is nothing but zeros
            best = max(best, (cosine, cosine / top), key=lambda x: x[1])
    return best


def _novel(novel: Sequence[Coins]) -> Finding:
    """Modules that no base has: their coins cannot come from the bases' weights, but can from one seed."""
    agree, thrown = pooled(novel)
    best = min(c.corrected for c in novel)
    params: dict[str, Param] = {
        "n": len(novel), "share": agree / thrown, "power": int(-best),
        "list": ", ".join(list(dict.fromkeys(c.module.label for c in novel))[:5]),
    }  # fmt: skip
    return Finding(
        "weights.coins_novel",
        "weights",
        Message("weights.coins_novel.found", params),
        Bearing.CONTEXT,
        Strength("exact", best, Message("weights.coins.null")),
        (Measure("coins_beyond", len(novel)), Measure("coins_share", agree / thrown, "share", n=thrown)),
        alternatives=(Message("weights.coins.alternative.seed"),),
    )


def _finding(
    planned: Plan,
    coins: Sequence[Coins],
    passed: Sequence[Coins],
    beyond: Sequence[Coins],
    ratio: tuple[float, float] | None,
    bases: int,
) -> Finding:
    best = min(c.corrected for c in coins)
    agree, thrown = pooled(beyond or coins)
    measures = [
        Measure("coins_modules", len(coins)),
        Measure("coins_reordered", sum(c.pairing != "identity" for c in passed), n=len(passed)),
        Measure("weights_bases", bases),
        Measure("coins_passed", len(passed), n=len(coins)),
        Measure("coins_beyond", len(beyond), n=len(coins)),
        Measure("coins_share", agree / thrown if thrown else None, "share", n=thrown),
        Measure("coins_cosine", median(c.cosine for c in beyond or coins)),
    ]
    if ratio is not None:
        measures.append(Measure("coins_ratio", ratio[1]))
    if not passed:
        kind, bearing = ("nothing", Bearing.AGAINST) if thrown else ("unthrown", Bearing.CONTEXT)
    elif not beyond:
        kind, bearing = "explained", Bearing.CONTEXT
    elif ratio is not None and ratio[1] >= BEYOND:
        kind, bearing = "found", Bearing.DISTINCTIVE
    else:
        kind, bearing = "weak", Bearing.SUPPORTING
    params = {
        "n": len(beyond or passed), "all": len(coins), "share": agree / thrown if thrown else 0.5,
        "cosine": median(c.cosine for c in beyond or coins), "ratio": ratio[1] if ratio else 0.0,
        "power": int(-best),
    }  # fmt: skip
    return Finding(
        "weights.coins",
        "weights",
        Message(f"weights.coins.{kind}", params),
        bearing,
        Strength("exact", best, Message("weights.coins.null")),
        tuple(measures),
        (*exhibits(coins), *towers(coins, beyond)),
        alternatives=tuple(Message(f"weights.coins.alternative.{name}") for name in ALTERNATIVES)
        if beyond
        else (),
        limits=(
            *(Message(f"weights.coins.limit.{name}") for name in LIMITS),
            *(
                Message(f"weights.coins.left_out.{r}", {"n": n})
                for r, n in sorted(planned.excluded.items())
                if n
            ),
        ),
    )
