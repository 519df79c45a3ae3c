"""The weights: one pass over both checkpoints, and how each tensor was made from its counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apograph.align.tensors import Matching, in_order, match_tensors
from apograph.evidence import coins, weights_tables
from apograph.evidence.descent_arrows import source_of
from apograph.evidence.merge_classes import merged
from apograph.evidence.noise_law import NoiseLaw, noise_law
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.set_aside import COMPUTED, Aside, from_values, set_aside
from apograph.evidence.sides import roles_of, sides
from apograph.evidence.stream import stream
from apograph.evidence.stream_state import kept
from apograph.evidence.transformation import RELATED, Transformation, transformation
from apograph.findings import SIDES, Bearing, Finding, Measure, Message, Param, Refusal, Strength, Unexamined
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore

COUNTS = 0.01
"""Share of the compared matrices' elements from which tensors computed from each other count."""
ABSENT = 3
LIMITS = ("vectors", "sample", "distilled", "merged", "order")


@dataclass(frozen=True, slots=True)
class Compared:
    """The outcome of the pass, and what bases explain of it."""

    matching: Matching
    told: tuple[Transformation, ...]
    aside: Aside
    identical: float

    @property
    def explained(self) -> frozenset[str]:
        """The candidate's tensors that a base explains."""
        return self.aside.explained

    @property
    def compared(self) -> tuple[Transformation, ...]:
        """Matrices that can tell something: trained, and not explained by a base."""
        return tuple(
            t
            for t in self.told
            if t.matrix
            and t.kind != "constant"
            and t.match.candidate.name not in self.explained
            and not t.computed
        )

    @property
    def made(self) -> float:
        """Share of the compared matrices' elements in tensors that were computed from each other."""
        return self._share(RELATED)

    @property
    def computed(self) -> float:
        """The same without what training by itself leaves, without what was made of a relative and, beside a
        base, without tensors of which it has no counterpart: what it lacks may come from a further ancestor,
        as a tower that both sides took."""
        own = [t for t in self.compared if not self.aside.bases or t.match.candidate.name in self.aside.known]
        return self._share(COMPUTED, [t for t in own if from_values(t)])

    def _share(self, kinds: Sequence[str], own: Sequence[Transformation] | None = None) -> float:
        told = self.compared
        total = sum(t.moments.n for t in told)
        of = told if own is None else own
        return sum(t.moments.n for t in of if t.kind in kinds) / total if total else 0.0


@examiner("weights", needs=Part.TENSORS)
def transformations(case: Case) -> Iterator[Finding | Unexamined]:
    """The class of every matched tensor, noise, and the sign coins, from one reading of both sides."""
    both = sides(case)
    stores: list[TensorStore] = []
    for side, own in zip(SIDES, both, strict=True):
        try:
            stores.append(own.store)
        except Refusal as refusal:
            yield _absent(side, refusal)
    if len(stores) < 2:
        return
    reference, candidate = stores
    for side, store in zip(SIDES, stores, strict=True):
        for gap in store.unexamined:
            yield Unexamined("weights", gap.reason, side, gap.path, gap.fault, gap.code)
    matching = match_tensors(reference, candidate)
    configs = dict(both[0].config), dict(both[1].config)
    planned = coins.plan(matching.matches, (reference, candidate), configs, roles_of(both))
    progress = case.shared.get("weights.progress")
    with kept(case.shared.get("weights.state"), *both[0].releases, *both[1].releases) as state:
        moments = stream(
            matching.matches, reference, candidate, [planned.fold], progress=progress, state=state
        )
        told = tuple(
            transformation(match, m, reference, candidate)
            for match, m in zip(matching.matches, moments, strict=True)
        )
        told, aside = merged(case, told, set_aside(case, told, reference, candidate))
        found = Compared(matching, told, aside, _identical(matching, told, reference, candidate))
        case.shared["weights.compared"] = found
        law = noise_law(found.compared)
        yield _finding(found, law)
        if law is not None:
            yield noise_finding(law, found)
        yield from coins.findings(case, planned)


def _absent(side: str, refusal: Refusal) -> Unexamined:
    """Weights that were not published here are no fault."""
    fault = refusal.code != ABSENT
    return Unexamined("weights", refusal.message, side, refusal.path, fault, refusal.code)


def _identical(
    matching: Matching, told: Sequence[Transformation], reference: TensorStore, candidate: TensorStore
) -> float:
    """Share of all elements of both sides that are equal bit for bit; 1 only when nothing is left over and
    the layers stand in one order."""
    totals = [
        sum(element_count(i.shape or ()) or 0 for i in s.infos.values()) for s in (reference, candidate)
    ]
    equal = sum({t.match.reference: t.moments.equal for t in told}.values())
    share = min(1.0, 2 * equal / max(sum(totals), 1))
    left = matching.unmatched_reference or matching.unmatched_candidate
    whole = not left and all(t.moments.equal == t.moments.n for t in told) and in_order(matching.matches)
    return 1.0 if whole and share == 1 else min(share, 1 - 1e-9)


def _finding(found: Compared, law: NoiseLaw | None) -> Finding:
    compared, made = found.compared, found.made
    kinds = weights_tables.counted(compared)
    params: dict[str, Param] = {
        "share": made,
        "n": len(compared),
        "list": ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in kinds.items()),
        "explained": len(found.explained),
    }
    if found.identical == 1:
        key, bearing = "identical", Bearing.CONTEXT if found.explained else Bearing.DISTINCTIVE
    elif not compared:
        key, bearing = "explained" if found.explained else "nothing", Bearing.CONTEXT
    elif made >= COUNTS:
        key, bearing = "made" if found.computed >= COUNTS else "akin", Bearing.DISTINCTIVE
    elif any(t.kind not in ("unrelated", "constant") for t in compared):
        key, bearing = "alike", Bearing.CONTEXT
    else:
        key, bearing = "unrelated", Bearing.AGAINST
    measures = [
        Measure("weights_matched", len(found.told)),
        Measure("weights_elements", sum(t.moments.n for t in found.told)),
        Measure("weights_identical", found.identical, "share"),
        Measure("weights_made", made, "share", n=len(compared)),
        Measure("weights_computed", found.computed, "share", n=len(compared)),
        Measure("weights_bases", found.aside.bases),
        Measure("weights_explained", len(found.explained), n=len(found.told)),
        Measure("weights_left_reference", len(found.matching.unmatched_reference)),
        Measure("weights_left_candidate", len(found.matching.unmatched_candidate)),
    ]
    return Finding(
        id="weights.transformation",
        channel="weights",
        message=Message(f"weights.transformation.{key}", params),
        bearing=bearing,
        strength=Strength("descriptive"),
        measures=tuple(measures),
        exhibits=weights_tables.exhibits(found.told),
        alternatives=tuple(Message(f"weights.alternative.{a}") for a in ("ancestor", "initial", "frozen")),
        limits=tuple(Message(f"weights.limit.{a}") for a in LIMITS),
        arrow=source_of(compared, law),
    )


def noise_finding(law: NoiseLaw, found: Compared) -> Finding:
    """The law of the noise that tensors of the pair share, in the words of its kind."""
    noisy = [t for t in found.compared if t.kind == "noise"]
    params: dict[str, Param] = {
        "sigma": law.sigma,
        "inverse": 1 / law.sigma,
        "n": law.tensors,
        "within": law.within,
        "pairs": law.pairs,
        "equal": law.equal,
    }
    key = "one" if law.tensors == 1 else "uniform" if law.uniform else "various"
    if law.equal and law.equal >= 0.5 * law.pairs:
        key = "reseeded"
    return Finding(
        id="weights.noise",
        channel="weights",
        message=Message(f"weights.noise.{key}", params),
        strength=Strength("descriptive"),
        measures=(
            Measure("weights_sigma", law.sigma, n=law.n, interval=law.interval),
            Measure("weights_sigma_within", law.within, n=law.tensors),
            Measure("weights_noise_equal", law.equal, n=law.pairs),
            Measure("weights_noise_likeness", law.likeness, n=law.pairs),
        ),
        exhibits=weights_tables.noise_exhibits(noisy),
        limits=(Message("weights.limit.noise"),),
        arrow=law.source and source_of(found.compared, law),
    )
