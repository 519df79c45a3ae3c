"""What a base explains: tensors of two releases that lie no nearer to each other than either does to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apograph.align.tensors import Match, Part, akin, match_tensors
from apograph.evidence.moments import Moments
from apograph.evidence.noise_law import noise_law
from apograph.evidence.registry import Case
from apograph.evidence.rounded import one_origin
from apograph.evidence.samples import sampled_rows
from apograph.evidence.sources import opened_sources
from apograph.evidence.stream import stream
from apograph.evidence.transformation import RELATED, Kind, Transformation, transformation
from apograph.findings import Side
from apograph.release.tensor_store import TensorStore

COMPUTED = tuple(kind for kind in RELATED if kind not in ("fine_tuned", "low_rank", "merged"))
"""Classes that only a computation from the other side's values gives. Two models that were trained from one
start differ as by fine-tuning, and two with an adapter each by a change of low rank. A merge has
a rule of its own."""
BLURRED: tuple[Kind, ...] = ("noise", "quantised")
"""Classes that hide a difference smaller than the noise or the step."""
MARKED: tuple[Kind, ...] = ("quantised", "pruned")
"""Classes that also a relative's values give, rounded or cut (``Transformation.exact``)."""
CHANCE = 4.0
"""Standard errors."""
SPREAD, MOST = 0.1, 0.9
"""A side to which noise was added, or that was rounded, has the other's change from a base once: in nine of
ten tensors the slope of its change is 1 within this and two standard errors. Siblings on one data have more
than a half of it by themselves, and all of it in rows of tokens that never occur."""
COUNTERPART = 0.5
"""Correlation from which a base's tensor counts as the counterpart of a side's."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Names of the candidate's tensors: ``explained`` by a base or a claimed source; ``known``, of which one
    of them has a counterpart, without those with noise or on a grid where changes from it do not go on.
    ``bases``: how many of them are akin to both sides."""

    explained: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    bases: int = 0


def from_values(told: Transformation) -> bool:
    """Whether the pair has a class of ``COMPUTED``, and by the very values of the two sides: what lies on a
    grid or has zeros may also have been made of another release of the same origin."""
    return told.kind in COMPUTED and (told.kind not in MARKED or told.exact)


def set_aside(
    case: Case,
    told: Sequence[Transformation],
    reference: TensorStore,
    candidate: TensorStore,
    fitted: Side | None = None,
) -> Aside:
    """Compare the related tensors of ``told`` with every base and claimed source whose weights can be read.

    A tensor is explained if the base is as near to both sides as they are to each other, or if both were
    computed from the base's (equal, rounded, quantised, with noise): two quantisations of one base, and two
    fine-tunes beside a base in another storage type, were not made from each other. The answer is the same
    with the sides exchanged. ``fitted`` names a side that was carried over by a map fitted to the other,
    which draws it towards that one: then only its own nearness counts.
    """
    wanted = {t.match.candidate: t for t in told if t.kind in RELATED}
    explained: set[str] = set()
    known: set[str] = set()
    apart: set[str] = set()
    bases = 0
    for _, store in opened_sources(case):
        matching = match_tensors(store, candidate)
        bases += akin(matching, store) and akin(match_tensors(store, reference), store)
        pairs = [m for m in matching.matches if m.candidate in wanted]
        others = [_onward(m, wanted[m.candidate].match) for m in pairs]
        near, far = stream(pairs, store, candidate), stream(others, store, reference)
        made = _made(pairs, near, store, candidate), _made(others, far, store, reference)
        goes_on: dict[str, bool] = {}
        for pair, b, a in zip(pairs, near, far, strict=True):
            name, own = pair.candidate.name, wanted[pair.candidate]
            if max(abs(m.correlation or 0.0) for m in (a, b)) >= COUNTERPART:
                known.add(name)
            both = pair.reference in made[0] and pair.reference in made[1]
            if both or _as_near(a.sum_dd, b.sum_dd, own.moments, fitted):
                explained.add(name)
            elif own.kind in BLURRED:
                goes_on[name] = _goes_on(a.sum_dd, b.sum_dd, own.moments)
        if sum(goes_on.values()) < MOST * len(goes_on):
            apart |= goes_on.keys()
    return Aside(frozenset(explained), frozenset(known - apart), bases)


def _made(
    pairs: Sequence[Match], moments: Sequence[Moments], base: TensorStore, side: TensorStore
) -> set[Part]:
    """The base's parts from which a side's were computed, or the other way round, or both rounded from the
    same; without noise that was added to the base: such a side may be the other's parent."""
    told = [transformation(p, m, base, side) for p, m in zip(pairs, moments, strict=True)]
    law = noise_law([t for t in told if t.kind == "noise"])
    added = law is not None and law.source == "reference"
    return {
        t.match.reference
        for t in told
        if (
            t.kind in COMPUTED
            and (t.kind != "pruned" or from_values(t))
            and not (added and t.kind == "noise")
        )
        or (t.kind in RELATED and one_origin(*sampled_rows(t.match, base, side)))
    }


def _as_near(a: float, b: float, between: Moments, fitted: Side | None) -> bool:
    """Whether the base is as near to both sides as they are to each other, within chance. From the squared
    distances: a side is nearer to the other than to the base exactly if the slope of its change from the base
    on the other's is above one half; the slope's standard error is that of independent changes."""
    slopes = _slopes(a, b, between)
    return all(
        slope <= 0.5 + CHANCE * error for side, (slope, error) in slopes.items() if fitted in (None, side)
    )


def _goes_on(a: float, b: float, between: Moments) -> bool:
    """Whether one side's whole change from the base is in the other's, once."""
    slopes = _slopes(a, b, between).values()
    return any(abs(slope - 1) <= SPREAD + 2 * error for slope, error in slopes)


def _slopes(a: float, b: float, between: Moments) -> dict[Side, tuple[float, float]]:
    """The slope of each side's change from the base on the other's, and its standard error, if the changes
    are independent. ``a`` and ``b`` are the squared distances of reference and candidate from the base."""
    shared = (a + b - between.sum_dd) / 2
    sides: tuple[tuple[Side, float, float], ...] = (("reference", a, b), ("candidate", b, a))
    return {
        side: (shared / other, math.sqrt(own / other / max(between.n, 1)))
        for side, own, other in sides
        if other > 0
    }


def _onward(pair: Match, told: Match) -> Match:
    """Base to reference, from base to candidate and reference to candidate."""
    turned = pair.transposed != told.transposed
    return Match(pair.reference, told.reference, pair.how, pair.score, turned)
