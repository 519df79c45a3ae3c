"""Merges tensor by tensor: the class "merged", and what is a sum of the bases alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apograph.evidence.descent_facts import Facts, measured, nearest_base
from apograph.evidence.descent_family import CANDIDATE, REFERENCE, Family, Turned, family
from apograph.evidence.descent_tables import label
from apograph.evidence.merge import combination, spanned
from apograph.evidence.registry import Case
from apograph.evidence.set_aside import Aside
from apograph.evidence.transformation import Kind, Transformation

KIN = "weights.kin"
"""Key of ``Case.shared``: what was measured of the family (``Kin``), where there is more of it than two."""
LOOSE: tuple[Kind, ...] = ("noise", "low_rank", "fine_tuned", "correlated")
"""Classes of pairs whose difference other releases may account for: that of two fine-tunes can look like
noise, and with adapters it has a low rank."""


@dataclass(frozen=True, slots=True)
class Kin:
    """A family, whose stores are closed, and the facts of its matrices in the order of ``family.told``.
    ``origin`` is the nearest base, if any."""

    family: Family
    origin: int | None
    facts: tuple[Facts, ...]

    @property
    def sources(self) -> list[int]:
        """What explains: bases and claimed sources, by number."""
        return [*self.family.numbers("base"), *self.family.numbers("claimed")]


def kin_of(case: Case, told: Sequence[Transformation], turned: Turned | None = None) -> Kin | None:
    """As ``descent_family.family``, measured."""
    with family(case, told, turned) as found:
        if found is None:
            return None
        origin = nearest_base(found)
        return Kin(found, origin, tuple(measured(found, origin)))


def merged(
    case: Case, told: Sequence[Transformation], aside: Aside
) -> tuple[tuple[Transformation, ...], Aside]:
    """The classes with "merged" among them, and with what both sides have from the bases alone: matrices
    that each is a sum of theirs. Two merges of the same ingredients were not made from each other."""
    kin = kin_of(case, told) if (*case.bases, *case.claimed, *case.panel) else None
    if kin is None or len(kin.family.members) < 3:
        return tuple(told), aside
    new = {id(t): _classed(kin, t, f) for t, f in zip(kin.family.told, kin.facts, strict=True)}
    case.shared[KIN] = replace(kin, family=Family(kin.family.members, list(new.values())))
    sums = {
        t.match.candidate.name
        for t, f in zip(kin.family.told, kin.facts, strict=True)
        if sums_of(f, kin.sources)
    }
    return tuple(new.get(id(t), t) for t in told), replace(aside, explained=aside.explained | sums)


def sums_of(facts: Facts, sources: Sequence[int]) -> bool:
    """Whether both sides' matrices are sums of several sources' and have nothing of their own."""
    return len(sources) > 1 and all(
        spanned(facts.gram, side, sources, facts.rounded) for side in (REFERENCE, CANDIDATE)
    )


def _classed(kin: Kin, told: Transformation, facts: Facts) -> Transformation:
    if told.kind not in LOOSE:
        return told
    for target, other in ((CANDIDATE, REFERENCE), (REFERENCE, CANDIDATE)):
        shares = combination(facts.gram, target, other, kin.origin, facts.rounded)
        if shares is not None:
            parts = tuple((label(kin.family, n), c) for n, c in sorted(shares.items()))
            return replace(told, kind="merged", parts=parts, rank=None, source=None)
    return told
