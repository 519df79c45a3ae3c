"""Gauge recovery: a candidate that is the reference in another order, basis, sign or scale.

Where the tensors as they stand do not answer each other, the map between the two gauges is looked for, judged
by matrices that took no part in finding it, and undone; what is then left of the difference is classed as in
``weights``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from statistics import median

from apograph.align.gauge import AlignedStore, Gauge, ModuleMap, recover
from apograph.align.tensors import Match, Matching, Part
from apograph.evidence import weights, weights_tables
from apograph.evidence.descent_arrows import source_of
from apograph.evidence.first_look import elsewhere, small
from apograph.evidence.gauge_judge import FAMILIES, Judged, judged
from apograph.evidence.noise_law import noise_law
from apograph.evidence.registry import Case, examiner
from apograph.evidence.registry import Part as Needs
from apograph.evidence.rounding import FLOATS
from apograph.evidence.set_aside import COMPUTED, from_values, set_aside
from apograph.evidence.sides import Weights, roles_of, sides, stores_of
from apograph.evidence.stream import stream
from apograph.evidence.transformation import RELATED, Transformation, transformation
from apograph.evidence.weights import COUNTS, Compared
from apograph.findings import (
    Bearing,
    Exhibit,
    Finding,
    Json,
    Measure,
    Message,
    Param,
    Side,
    Strength,
    Unexamined,
)
from apograph.release.tensor_store import TensorStore

TOLD = 0.9
"""Share of the reference's matrices that answer a tensor as they stand from which no gauge is looked for."""
WEAK = 0.5
"""Share of the agreement that would count from which what was found is still mentioned."""
ROUNDED = 1.5
"""Root mean square of a difference, over that of the values, in units of half the last place, up to which it
is rounding to the candidate's type, met again in the errors of the recovered map."""
MAPPED = 2e-6
"""What the map itself, fitted in float32, may be off by, relative to the values."""
ALIGNED = "weights.aligned"
"""Key of ``Case.shared``: what was found behind a disguise (``Aligned``)."""
NEAR, LENGTHS = 0.1, 0.25
"""In a large pair: the difference of two matrices' lengths, in standard deviations of that of independent
elements, up to which they are equal, and the share of equal ones from which the gauge is looked for."""
COLUMNS = ("family", "modules", "units", "paired", "moved", "flipped", "scales", "mixing", "held", "needed")
LIMITS = ("held", "uniform", "width")
ALTERNATIVES = ("ancestor", "initial")


@dataclass(frozen=True, slots=True)
class Aligned:
    """The candidate in the reference's gauge: what was compared, and what ``turned`` needs."""

    compared: Compared
    gauge: Gauge
    modules: tuple[int, ...]

    def turned(self, reference: TensorStore, candidate: TensorStore) -> TensorStore:
        """The candidate's tensors under the reference's names, in its gauge."""
        return AlignedStore(self.gauge, reference, candidate, self.modules)


@examiner("weights", needs=Needs.TENSORS)
def gauge(case: Case) -> Iterator[Finding | Unexamined]:
    """The gauge of the candidate's weights, and the classes behind it."""
    plain = case.shared.get("weights.compared")
    if not isinstance(plain, Compared):
        return
    both = sides(case)
    reference, candidate = stores_of(both)
    if _told(plain, reference) >= TOLD:
        return
    if not _hopeful(plain, both):
        yield _nothing(Gauge((), (), ()), Judged({}, (), 0.0), "sampled")
        return
    found, verdict = _recovered(both)
    side: Side = "candidate"
    if not verdict.counts:  # a disguised reference: its parts are told by those of the candidate
        again, other = _recovered(both[::-1])
        if other.counts:
            found, verdict, side = again, other, "reference"
    if found.late:
        yield Unexamined("weights", Message("weights.gauge.late", {"n": len(found.late)}), fault=True, code=5)
    if not verdict.counts:
        yield _nothing(found, verdict)
    elif side == "candidate":
        aligned = AlignedStore(found, reference, candidate, verdict.counts)
        yield from _behind(case, plain, (reference, aligned), aligned, found, verdict)
    else:
        aligned = AlignedStore(found, candidate, reference, verdict.counts)
        yield from _behind(case, plain, (aligned, candidate), aligned, found, verdict)


def _recovered(both: tuple[Weights, Weights]) -> tuple[Gauge, Judged]:
    """The gauge of the second side towards the first by the roles that names tell, and where most modules
    stay unlike by those that content tells of the second (of the first only where its names tell nothing);
    the one that explains more."""
    stores = stores_of(both)
    found = recover(*stores, both[0].named, both[1].named)
    verdict = judged(found, stores)
    if len(verdict.counts) * 2 > len(found.modules):
        return found, verdict
    again = recover(*stores, both[0].roles, both[1].found)
    other = judged(again, stores)
    return (again, other) if len(other.counts) > len(verdict.counts) else (found, verdict)


def _hopeful(plain: Compared, both: tuple[Weights, Weights]) -> bool:
    """Whether a sample of the units, or the lengths of the matrices, speak for another gauge. Lengths stay
    under any order, sign or rotation; independent matrices of one law have them as near by chance in one case
    of twelve."""
    stores = stores_of(both)
    if small(stores):
        return True
    near = [
        abs(log(m.sum_aa / m.sum_bb)) * m.n**0.5 / 2 < NEAR
        for m in (t.moments for t in plain.told if t.matrix)
        if min(m.sum_aa, m.sum_bb) > 0
    ]
    if near and sum(near) >= LENGTHS * len(near):
        return True
    return elsewhere(roles_of(both), stores)


def _told(plain: Compared, reference: TensorStore) -> float:
    """Share of the reference's matrices whose class is one of related tensors."""
    told = {t.match.reference.name for t in plain.told if t.matrix and t.kind in (*RELATED, "constant")}
    matrices = {n for n, i in reference.infos.items() if i.shape is not None and len(i.shape) > 1}
    return len(told & matrices) / len(matrices) if matrices else 1.0


def _behind(
    case: Case,
    plain: Compared,
    stores: tuple[TensorStore, TensorStore],
    aligned: AlignedStore,
    found: Gauge,
    verdict: Judged,
) -> Iterator[Finding]:
    """Everything that ``weights`` finds, in one gauge: one of ``stores``, reference and candidate, is
    ``aligned``, and has the other's names."""
    fixed = stores[0] if aligned is stores[1] else stores[1]
    matches = tuple(Match(Part(n), Part(n), "permuted", 1.0) for n in aligned.infos)
    left = tuple(n for n in fixed.infos if n not in aligned.infos)
    moments = stream(matches, *stores, progress=case.shared.get("weights.progress"))
    told = tuple(
        _rounded(transformation(match, m, *stores), aligned)
        for match, m in zip(matches, moments, strict=True)
    )
    aside = set_aside(case, told, *stores, "candidate" if aligned is stores[1] else "reference")
    compared = Compared(Matching(matches, left, (), ()), told, aside, 0.0)
    if aligned is stores[1]:
        case.shared[ALIGNED] = Aligned(compared, found, tuple(verdict.counts))
    law = noise_law(compared.compared)
    yield _finding(plain, compared, found, verdict, source_of(compared.compared, law))
    if law is not None and noise_law(plain.compared) is None:
        yield weights.noise_finding(law, compared)


def _rounded(told: Transformation, aligned: AlignedStore) -> Transformation:
    """A cast, where a tensor had to be turned and what is left of the difference is no more than rounding to
    the candidate's type leaves: turned, it is no longer bounded element by element, but its sum is. A turned
    tensor shows no source: zeros and grids are gone, and what was pruned looks like the cleaner side."""
    name = told.match.candidate.name
    kind = FLOATS.get(aligned.dtype(name))
    if not told.matrix or aligned.exact(name):
        return told
    told = replace(told, turned=True, source=None)
    if kind is None or told.kind == "unrelated":
        return told
    bound = ROUNDED * 2.0 ** -(kind.bits + 1) + MAPPED
    if told.moments.sum_dd <= bound**2 * told.moments.sum_aa:
        return replace(told, kind="cast", into=kind.name)
    return told


def _shares(plain: Compared, aligned: Compared, kinds: Sequence[str]) -> float:
    """Share of elements of such classes, of all that were compared in either way. What answers as it stands
    is the finding of ``weights`` and does not count twice."""
    total = max(sum(t.moments.n for t in side.compared) for side in (plain, aligned))
    related = [t.match for t in plain.told if t.kind in RELATED]
    seen = {m.reference.name for m in related} | {m.candidate.name for m in related}
    known = None if not aligned.aside.bases or kinds is RELATED else aligned.aside.known
    made = sum(
        t.moments.n
        for t in aligned.compared
        if t.kind in kinds
        and (kinds is RELATED or from_values(t))
        and t.match.reference.name not in seen
        and (known is None or t.match.candidate.name in known)
    )
    return made / total if total else 0.0


def _finding(
    plain: Compared, aligned: Compared, found: Gauge, verdict: Judged, arrow: Side | None
) -> Finding:
    made = _shares(plain, aligned, RELATED)
    kinds = weights_tables.counted(aligned.compared)
    key = "found" if made >= COUNTS else "explained" if aligned.explained else "alike"
    params: dict[str, Param] = {
        "share": made,
        "list": ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in kinds.items()),
        "n": len(verdict.counts),
        "all": len(found.modules),
        "explained": len(aligned.explained),
    }
    counted = [found.modules[n] for n in verdict.counts]
    return Finding(
        "weights.gauge",
        "weights",
        Message(f"weights.gauge.{key}", params),
        Bearing.DISTINCTIVE if made >= COUNTS else Bearing.CONTEXT,
        Strength("descriptive"),
        measures=(
            Measure("weights_made", made, "share", n=len(aligned.compared)),
            Measure("weights_computed", _shares(plain, aligned, COMPUTED), "share"),
            Measure("weights_bases", aligned.aside.bases),
            Measure("gauge_modules", len(verdict.counts), n=len(found.modules)),
            Measure("gauge_tensors", len(aligned.told), n=len(aligned.told) + _left(aligned)),
            Measure("gauge_moved", sum(m.moved for m in counted), n=sum(m.units for m in counted)),
            Measure("gauge_flipped", sum(m.flipped for m in counted)),
            Measure("gauge_ratio", 2 * verdict.best),
        ),
        exhibits=(_maps(counted, verdict), _streams(found), *weights_tables.exhibits(aligned.told)),
        alternatives=tuple(Message(f"weights.alternative.{a}") for a in ALTERNATIVES),
        limits=tuple(Message(f"weights.gauge.limit.{a}") for a in LIMITS),
        arrow=arrow,
    )


def _left(aligned: Compared) -> int:
    return len(aligned.matching.unmatched_reference)


def _nothing(found: Gauge, verdict: Judged, limit: str | None = None) -> Finding:
    """No module agrees enough; near misses are said to be so."""
    weak = verdict.best >= WEAK and any(m.held >= 3 * m.chance for m in found.modules)
    return Finding(
        "weights.gauge",
        "weights",
        Message(
            f"weights.gauge.{'weak' if weak else 'nothing'}",
            {"n": len(found.modules), "ratio": 2 * verdict.best},
        ),
        Bearing.SUPPORTING if weak else Bearing.CONTEXT,
        Strength("descriptive"),
        measures=(
            Measure("gauge_modules", 0, n=len(found.modules)),
            Measure("gauge_ratio", 2 * verdict.best),
        ),
        exhibits=(_maps(found.modules, verdict),) if found.modules else (),
        limits=tuple(Message(f"weights.gauge.limit.{a}") for a in ((limit,) if limit else LIMITS)),
    )


def _maps(modules: Sequence[ModuleMap], verdict: Judged) -> Exhibit:
    rows: list[Json] = []
    for family in FAMILIES:
        own = [m for m in modules if m.family == family]
        if own:
            scales = min(m.scale[0] for m in own), max(m.scale[1] for m in own)
            rows.append(
                [
                    {"key": f"weights.gauge.family.{family}", "params": {}},
                    len(own),
                    sum(m.units for m in own),
                    sum(m.paired for m in own),
                    sum(m.moved for m in own),
                    sum(m.flipped for m in own),
                    f"{scales[0]:.3g} – {scales[1]:.3g}",
                    ", ".join(sorted({m.mixing for m in own})) + (", folded" if own[0].folded else ""),
                    round(median(m.held for m in own), 4),
                    round(verdict.needed[family], 3),
                ]
            )
    columns: list[Json] = [f"gauge_{c}" for c in COLUMNS]
    return Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.gauge.caption.maps"))


def _streams(found: Gauge) -> Exhibit:
    rows: list[Json] = [
        [s.label, s.basis, s.width, s.moved, s.flipped, round(s.turn, 2), s.rows_moved, s.rows_lost,
         round(s.agreement, 4)]
        for s in found.streams
    ]  # fmt: skip
    columns: list[Json] = [
        f"gauge_{c}"
        for c in (
            "tower",
            "basis",
            "width",
            "moved",
            "flipped",
            "turn",
            "rows_moved",
            "rows_lost",
            "agreement",
        )
    ]
    return Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.gauge.caption.streams"))
