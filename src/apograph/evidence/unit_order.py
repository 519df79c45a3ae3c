"""Ungated MLPs: do hidden units stand in the same order? An exact test of permutations.

In an MLP without a gate no sign is free, but the order of the hidden units is: initialisation and training
treat all of them alike. Units of the two sides are matched by likeness (the candidate's in a random order, so
that ties favour no order); if one side's order was drawn independently, how many units then stand at the
place of their counterpart is known exactly. After phi_U of Zhu et al., "Independence tests for language
models", arXiv 2502.12292.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Half, Module
from apograph.align.pairing import Sketch, assigned
from apograph.align.role_modules import block_pairs, roles_of, tower_pairs
from apograph.align.role_views import view_shape
from apograph.align.roles import Block, Roles
from apograph.evidence.coin_ceiling import CHANNELS, ceilings, part_of
from apograph.evidence.coin_sketch import sketch
from apograph.evidence.coin_test import FLOOR_P, FLOOR_SHARE, holm_adjusted
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.sides import roles_of as roles_of_sides
from apograph.evidence.sides import sides, stores_of
from apograph.evidence.sources import opened_sources
from apograph.findings import Bearing, Exhibit, Finding, Measure, Message, Refusal, Strength
from apograph.release.tensor_store import TensorStore

SORTED = 5.0
"""Standard deviations beyond which the norms of a side's units rise or fall with their place: such units were
put in order by somebody, and their order is not free."""
BEYOND, TRIED = 2.0, 4
BEARINGS = {
    "nothing": Bearing.AGAINST,
    "explained": Bearing.CONTEXT,
    "weak": Bearing.SUPPORTING,
    "found": Bearing.DISTINCTIVE,
}
LIMITS = ("summation", "nested", "forgery")
ALTERNATIVES = ("seed", "ancestor", "adjusted")

Stores: TypeAlias = tuple[TensorStore, TensorStore]


@dataclass(frozen=True, slots=True)
class Order:
    """``fixed`` of ``n`` hidden units stand at the place of their counterpart; ``cosine`` is the median
    |cosine| of these; ``spearman`` the rank correlation of the places. ``sorted``: no test."""

    module: Module
    fixed: int
    n: int
    log10_p: float
    corrected: float
    cosine: float
    spearman: float
    sorted: bool = False

    @property
    def counts(self) -> bool:
        """Whether p (corrected) and the share of units in place pass the levels of ``docs/coins.md``."""
        return self.corrected <= FLOOR_P and self.fixed > FLOOR_SHARE * self.n


def ungated(roles: tuple[Roles, Roles], stores: Stores) -> list[Module]:
    """Ungated MLPs of equal shape in layers that answer each other."""
    found = []
    for towers in tower_pairs(*roles):
        if all(m.gate is None for t in towers for b in t.blocks[:1] for m in b.mlps):
            for a, b in block_pairs(towers, stores):
                found += list(_of_blocks(a, b, stores, towers[0].label))
    return found


def _of_blocks(a: Block, b: Block, stores: Stores, tower: str) -> Iterator[Module]:
    for x, y in zip(a.mlps, b.mlps, strict=False):
        shapes = [view_shape(s, m.up) for s, m in zip(stores, (x, y), strict=True)]
        if x.gate is None and y.gate is None and shapes[0] == shapes[1]:
            halves = [
                Half(m.up, m.down, None, None if o.before_mlp is None else o.before_mlp.gain)
                for m, o in ((x, a), (y, b))
            ]
            yield Module("mlp", a.label, (), shapes[0][0], 1, 1, (halves[0], halves[1]), tower=tower)


def orders(modules: Sequence[Module], stores: Stores) -> list[Order]:
    """The order of every module's units, p corrected for their number (Holm)."""
    found = [_order(m, *(sketch(m, n, s) for n, s in enumerate(stores))) for m in modules]
    tested = [o for o in found if not o.sorted]
    holm = holm_adjusted([o.log10_p for o in tested])
    return [replace(o, corrected=p) for o, p in zip(tested, holm, strict=True)] + [
        o for o in found if o.sorted
    ]


def _order(module: Module, a: Sketch, b: Sketch) -> Order:
    rows = [[s.near[:, 0], s.far[:, 0, 0]] for s in (a, b)]
    n = len(rows[0][0])
    if any(_in_order(side) for side in rows):
        return Order(module, 0, n, 0.0, 0.0, 0.0, 0.0, True)
    shuffle = np.random.default_rng(0).permutation(n)
    own, other = assigned(rows[0], [m[shuffle] for m in rows[1]])
    other = shuffle[other]
    fixed = own[own == other]
    p = fixed_points(len(fixed), len(own), n)
    both = [np.concatenate(side, axis=1)[fixed] for side in rows]
    lengths = np.linalg.norm(both[0], axis=1) * np.linalg.norm(both[1], axis=1)
    cosines = np.abs((both[0] * both[1]).sum(1)) / np.maximum(lengths, 1e-30)
    spearman = float(np.corrcoef(own.argsort().argsort(), other.argsort().argsort())[0, 1]) if n > 1 else 0.0
    return Order(module, len(fixed), n, p, 0.0, float(np.median(cosines)) if len(fixed) else 0.0, spearman)


def fixed_points(k: int, pairs: int, n: int) -> float:
    """log10 of a bound on the probability that at least ``k`` of ``pairs`` one-to-one pairs among ``n`` units
    join equal places, if one side's order is drawn at random: C(pairs, k) (n - k)! / n!, which is 1/k! where
    all units are paired (the expected number of sets of k such pairs)."""
    return min(0.0, math.log10(math.comb(pairs, k)) - math.log10(math.perm(n, k)))


def _in_order(rows: Sequence[NDArray[np.float32]]) -> bool:
    """Whether units' norms go with their place."""
    norms = [np.linalg.norm(m, axis=1) for m in rows]
    n = len(norms[0])
    if n < 16:
        return False
    places = np.arange(n)
    ranks = [x.argsort(kind="stable").argsort() for x in norms]
    return any(abs(float(np.corrcoef(places, r)[0, 1])) * math.sqrt(n - 1) > SORTED for r in ranks)


@examiner("weights", needs=Part.TENSORS)
def unit_order(case: Case) -> Iterator[Finding]:
    """The order of hidden units in ungated MLPs. Weights that cannot be read are told by ``weights``."""
    both = sides(case)
    try:
        stores = stores_of(both)
    except Refusal:
        return
    found = orders(ungated(roles_of_sides(both), stores), stores)
    tested = [o for o in found if not o.sorted]
    if not tested:
        return
    passed = [o for o in tested if o.counts]
    explained = _explained(case, passed, stores[0])
    beyond = [o for o in passed if o.module.place not in explained]
    yield _finding(found, passed, beyond, _ratio(beyond, stores))


def _explained(case: Case, passed: Sequence[Order], reference: TensorStore) -> set[tuple[str, str, int, int]]:
    """Modules whose order a base or a claimed source has as well."""
    wanted = {o.module.halves[0].far.name: o.module.place for o in passed}
    explained = set()
    for source, store in opened_sources(case) if passed else ():
        stores = store, reference
        configs = dict(source.config), dict(case.reference.config)
        modules = ungated(roles_of(stores, configs), stores)
        modules = [m for m in modules if m.halves[1].far.name in wanted]
        told = orders(modules, stores)
        explained |= {wanted[o.module.halves[1].far.name] for o in told if o.counts}
    return explained


def _ratio(beyond: Sequence[Order], stores: Stores) -> float:
    """How many times what lossless changes reach the units' likeness is."""
    tops = []
    for side, store in enumerate(stores):
        for o in beyond[:TRIED]:
            width = view_shape(store, o.module.halves[side].near)[1]
            tops += ceilings([part_of(o.module, sketch(o.module, side, store, channels=CHANNELS), width)])
    return median(o.cosine for o in beyond) / max(tops) if tops else 0.0


def _finding(
    found: Sequence[Order], passed: Sequence[Order], beyond: Sequence[Order], ratio: float
) -> Finding:
    tested = [o for o in found if not o.sorted]
    told = beyond or tested
    best = min(o.corrected for o in tested)
    kind = "nothing" if not passed else "explained" if not beyond else "found" if ratio >= BEYOND else "weak"
    bearing = BEARINGS[kind]
    share = sum(o.fixed for o in told) / sum(o.n for o in told)
    rows = [
        [o.module.label, o.n, o.fixed, round(o.cosine, 4), round(o.spearman, 4), round(o.corrected, 2)]
        for o in tested
    ]
    columns = [
        "order_module",
        "order_units",
        "order_fixed",
        "order_cosine",
        "order_spearman",
        "order_log10_p",
    ]
    left_out = len(found) - len(tested)
    return Finding(
        "weights.unit_order",
        "weights",
        Message(
            f"weights.unit_order.{kind}",
            {
                "n": len(beyond or passed),
                "all": len(tested),
                "share": share,
                "power": int(-best),
                "ratio": ratio,
            },
        ),
        bearing,
        Strength("exact", best, Message("weights.unit_order.null")),
        (
            Measure("order_modules", len(tested)),
            Measure("order_beyond", len(beyond), n=len(tested)),
            Measure("order_share", share, "share", n=sum(o.n for o in told)),
            Measure("coins_ratio", ratio),
        ),
        (Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.unit_order.table")),),
        alternatives=tuple(Message(f"weights.coins.alternative.{a}") for a in ALTERNATIVES) if beyond else (),
        limits=(
            *(Message(f"weights.unit_order.limit.{name}") for name in LIMITS),
            *([Message("weights.unit_order.limit.sorted", {"n": left_out})] if left_out else []),
        ),
    )
