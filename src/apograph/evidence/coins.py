"""Sign coins: an exact test of whether initial weights are independent, units paired as they stand.

``plan`` says which modules can be tested, ``Plan.fold`` joins the common reading pass, ``findings`` says what
it showed. Everything that would make a fair coin unfair is left out: see ``align.modules`` for the symmetric
families, and below for quantised storage, repeated units and what a base explains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from apograph.align.modules import FAMILIES, Module, find_modules
from apograph.align.tensors import Match, akin, match_tensors
from apograph.evidence.coin_ceiling import Units, ceilings, part_of
from apograph.evidence.coin_figures import exhibits
from apograph.evidence.coin_products import ProductFold
from apograph.evidence.coin_test import Coins, pooled, throw
from apograph.evidence.registry import Case
from apograph.evidence.stream import stream
from apograph.findings import Bearing, Finding, Json, Measure, Message, Refusal, Strength
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
BEYOND = 2.0
"""How many times what lossless changes reach the units' likeness has to be."""
TRIED = 4
"""Modules of each family that are optimised to find that."""
REPEATED = 0.5
"""|cosine| of two units of one module above which they are taken for copies of each other."""
SIDES = ("reference", "candidate")
LIMITS = ("identity", "forgery", "uniform", "distilled")
ALTERNATIVES = ("seed", "ancestor", "adjusted")

Stores = tuple[TensorStore, TensorStore]


@dataclass(frozen=True, slots=True)
class Plan:
    """Modules to be tested, those left out (by reason), and the fold that has to see every block."""

    stores: Stores
    modules: tuple[Module, ...]
    excluded: Counter[str]
    fold: ProductFold


def plan(
    matches: Sequence[Match], stores: Stores, configs: tuple[Mapping[str, Json], Mapping[str, Json]]
) -> Plan:
    """Find the modules. A module stored on both sides in a quantised type is left out: rounding to its grid
    need not commute with a change of sign."""
    found, left_out = find_modules(matches, stores, configs)
    modules: list[Module] = []
    reasons: Counter[str] = Counter(str(e.reason) for e in left_out)
    for module in found:
        float_sides = [
            all(store.dtype(getattr(s.match, side).name) in FLOATS for s in module.slices)
            for store, side in zip(stores, SIDES, strict=True)
        ]
        if any(float_sides):
            modules.append(module)
        else:
            reasons["quantised"] += 1
    return Plan(stores, tuple(modules), reasons, ProductFold(modules))


def findings(case: Case, planned: Plan) -> Iterator[Finding]:
    """What the coins show, after the fold has seen every block. Nothing where no module can be tested."""
    coins = throw(planned.fold.finish())
    if not coins:
        return
    counted = [c for c in coins if c.counts]
    passed = [c for c in counted if not _repeated(c.module, planned.stores)]
    planned.excluded["repeated"] += len(counted) - len(passed)
    explained, bases = _explained(case, planned, passed) if passed else (set(), 0)
    beyond = [c for c in passed if (c.module.family, c.module.label) not in explained]
    ratio = effect(beyond, planned.stores) if beyond else None
    yield _finding(planned, coins, passed, beyond, ratio, bases)


def effect(coins: Sequence[Coins], stores: Stores) -> tuple[float, float]:
    """(median |cosine| of the units, how many times the ceiling of lossless changes that is): of the family
    that stands out most; the higher ceiling of both sides counts."""
    best = (0.0, 0.0)
    chosen = [c for f in FAMILIES for c in [x for x in coins if x.module.family == f][:TRIED]]
    tops: dict[str, float] = {}
    for side, store in zip(("reference", "candidate"), stores, strict=True):
        streams: dict[int, list[tuple[str, Units]]] = {}
        for c in chosen:
            part = part_of(c.module, store, side)
            streams.setdefault(part.shape[-1], []).append((c.module.family, part))
        for parts in streams.values():
            for (family, _), top in zip(parts, ceilings([p for _, p in parts]), strict=True):
                tops[family] = max(tops.get(family, 0.0), top)
    for family, top in tops.items():
        cosine = median(c.cosine for c in coins if c.module.family == family)
        best = max(best, (cosine, cosine / top), key=lambda x: x[1])
    return best


def _repeated(module: Module, stores: Stores) -> bool:
    """Whether units of a module repeat each other on a side (heads copied to fill a shape, a widened layer):
    such units share one coin, and which side's signs are the free ones is not known."""
    return any(_side_repeats(module, store, side) for store, side in zip(stores, SIDES, strict=True))


def _side_repeats(module: Module, store: TensorStore, side: str) -> bool:
    units = part_of(module, store, side)
    flat = units.reshape(-1, units.shape[-2] * units.shape[-1]).astype(float)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    likeness = np.abs(flat @ flat.T) - np.eye(len(flat))
    return bool((likeness.max(axis=1) > max(REPEATED, 6 / np.sqrt(flat.shape[1]))).mean() > 0.01)


def _explained(case: Case, planned: Plan, passed: Sequence[Coins]) -> tuple[set[tuple[str, str]], int]:
    """Families and labels of modules whose coins a base has as well, which explains them; and how many bases
    have weights that could be read and are akin to the reference's."""
    explained: set[tuple[str, str]] = set()
    read = 0
    for base in (*case.bases, *case.claimed):
        try:
            store = open_store(base)
        except Refusal:
            continue
        try:
            found = match_tensors(store, planned.stores[0])
            read += akin(found, store)
            inner = plan(found.matches, (store, planned.stores[0]), (_config(base), _config(case.reference)))
            wanted = {s.match.reference.name for c in passed for s in c.module.slices}
            own = [m for m in inner.modules if {s.match.candidate.name for s in m.slices} <= wanted]
            fold = ProductFold(own)
            stream(fold.matches, store, planned.stores[0], [fold])
            labels = {s.match.reference.name: c.module.label for c in passed for s in c.module.slices}
            for coins in throw(fold.finish()):
                if coins.counts:
                    names = {s.match.candidate.name for s in coins.module.slices}
                    explained |= {(coins.module.family, labels[name]) for name in names}
        finally:
            store.close()
    return explained, read


def _config(release: Release) -> Mapping[str, Json]:
    return dict(release.config)


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
        Measure("weights_bases", bases),
        Measure("coins_passed", len(passed), n=len(coins)),
        Measure("coins_beyond", len(beyond), n=len(coins)),
        Measure("coins_share", agree / thrown if thrown else None, n=thrown),
        Measure("coins_cosine", median(c.cosine for c in beyond or coins)),
    ]
    if ratio is not None:
        measures.append(Measure("coins_ratio", ratio[1]))
    if not passed:
        kind, bearing = "nothing", Bearing.AGAINST
    elif not beyond:
        kind, bearing = "explained", Bearing.CONTEXT
    elif ratio is not None and ratio[1] >= BEYOND:
        kind, bearing = "found", Bearing.DISTINCTIVE
    else:
        kind, bearing = "weak", Bearing.SUPPORTING
    params = {
        "n": len(beyond or passed), "all": len(coins), "share": agree / thrown if thrown else 0.5,
        "cosine": measures[5].value or 0.0, "ratio": ratio[1] if ratio else 0.0, "power": int(-best),
    }  # fmt: skip
    return Finding(
        "weights.coins",
        "weights",
        Message(f"weights.coins.{kind}", params),
        bearing,
        Strength("exact", best, Message("weights.coins.null")),
        tuple(measures),
        tuple(exhibits(coins)),
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
