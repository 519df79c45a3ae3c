"""What no change of gauge removes: measures that survive signs, order and rotation, ranked against a panel.

They have no known law under independence: models trained on the same data are alike without being related.
So there is a level only where unrelated models are given (``--panel``); the unit is the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from apograph.evidence.first_look import small
from apograph.evidence.invariant_measures import NAMES, Side, measured
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.sides import Weights, sides
from apograph.findings import Bearing, Exhibit, Finding, Measure, Message, Refusal, Strength, Unexamined
from apograph.release.types import Release

LEVEL = 0.05
"""Rank p at which the finding supports a relation. A panel of fewer than 19 models cannot reach it."""
LIMITS = ("data", "panel", "layers")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Against ``models`` unrelated models: ``at_least`` of them score as high as the candidate."""

    models: int
    at_least: int

    @property
    def p(self) -> float:
        """(1 + at least as high) / (models + 1), never smaller."""
        return (1 + self.at_least) / (self.models + 1)


def ranked(candidate: float, panel: Sequence[float]) -> Ranked:
    """How many of the panel reach the candidate's value."""
    return Ranked(len(panel), sum(x >= candidate for x in panel))


def rank_sums(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """One score for each release: the sum of its ranks in every measure that all of them have. Releases that
    are exchangeable in the measures are so in this score."""
    names = [n for n in NAMES if all(n in row for row in rows)]
    return [float(sum(sum(other[n] <= row[n] for other in rows) for n in names)) for row in rows]


@examiner("weights", needs=Part.TENSORS)
def invariants(case: Case) -> Iterator[Finding | Unexamined]:
    """Measures of the largest tower that the two have in common, and of the same against each model of the
    panel. Weights that cannot be read are told by ``weights``. Without a panel the measures have no level:
    large models, for which they take minutes, are then left out."""
    releases = case.reference, case.candidate
    try:
        reference, candidate = (_side(w, r) for w, r in zip(sides(case), releases, strict=True))
    except Refusal:
        return
    if not case.panel and not small((reference.store, candidate.store)):
        yield Unexamined("weights", Message("weights.invariants.large"))
        return
    observed = measured(reference, candidate)
    if not observed:
        return
    null = []
    for release in case.panel:
        other = Weights(release)
        try:
            with closing(other.store):
                found = measured(reference, _side(other, release))
        except Refusal as refusal:
            yield Unexamined("weights", refusal.message, "panel", release.ref)
            continue
        if observed.keys() <= found.keys():
            null.append(found)
        else:
            yield Unexamined("weights", Message("weights.invariants.unlike"), "panel", release.ref)
    yield _finding(observed, null, bool(case.bases or case.claimed))


def _side(weights: Weights, release: Release) -> Side:
    return Side(weights.store, weights.roles, release.tokenizer)


def _finding(observed: Mapping[str, float], null: Sequence[Mapping[str, float]], based: bool) -> Finding:
    rank = None
    if null:
        scores = rank_sums([observed, *null])
        rank = ranked(scores[0], scores[1:])
    rows = []
    for name, value in observed.items():
        others = sorted(x[name] for x in null)
        low, high = (others[0], others[-1]) if others else (None, None)
        p = ranked(value, others).p if others else None
        key = {"key": f"weights.invariants.name.{name}", "params": {}}
        rows.append([key, round(value, 5), *(None if x is None else round(x, 5) for x in (low, high, p))])
    columns = ["invariant", "invariant_value", "invariant_low", "invariant_high", "invariant_p"]
    known = rank is not None and rank.p <= LEVEL and not based
    if rank is None:
        message, strength = Message("weights.invariants.alone"), Strength("descriptive")
    else:
        params = {"at_least": rank.at_least, "n": rank.models, "p": rank.p}
        message = Message(f"weights.invariants.{'above' if known else 'within'}", params)
        strength = Strength("calibrated", math.log10(rank.p), Message("weights.invariants.null"))
    return Finding(
        "weights.invariants",
        "weights",
        message,
        Bearing.SUPPORTING if known else Bearing.CONTEXT,
        strength,
        tuple(Measure(f"invariant_{name}", value, n=len(null) or None) for name, value in observed.items()),
        (Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.invariants.table")),),
        alternatives=tuple(Message(f"weights.invariants.alternative.{a}") for a in ("data", "ancestor")),
        limits=tuple(Message(f"weights.invariants.limit.{name}") for name in LIMITS),
    )
