"""Direction from the two sides alone: marks that only a descendant has, and slopes both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from apograph.evidence.noise_law import noise_law
from apograph.evidence.transformation import RELATED, Transformation
from apograph.findings import Exhibit, Finding, Json, Measure, Message, Side, Strength

MARKS = {"quantised": "grid", "cast": "bits", "pruned": "zeros", "low_rank": "rounding"}
"""Classes whose source shows, and the mark that shows it."""
NEAR, TIMES, AGREE = 0.02, 3.0, 0.9
"""One slope within 0.02 of 1, the other at least three times as far, and nine of ten matrices that agree."""
FEWEST = 5


def arrows(told: Sequence[Transformation]) -> Iterator[Finding]:
    """The marks of both sides, by kind and number of tensors; nothing where there is none."""
    counted: Counter[tuple[str, Side]] = Counter()
    for t in told:
        if t.source is not None and t.kind in MARKS and not t.computed:
            counted[MARKS[t.kind], t.source] += 1
    law = noise_law([t for t in told if not t.computed])
    if law is not None and law.source is not None:
        again = law.equal >= 0.5 * law.pairs > 0
        counted["same_noise" if again else "noise", law.source] = law.tensors
    if not counted:
        return
    sides = {side for _, side in counted}
    arrow = sides.pop() if len(sides) == 1 else None
    rows: list[Json] = [
        [_said(f"mark.{mark}"), n, _said(f"side.{side}"), _said(f"forger.{mark}")]
        for (mark, side), n in sorted(counted.items())
    ]
    columns: list[Json] = ["arrow_mark", "weights_tensors", "arrow_source", "arrow_forger"]
    yield Finding(
        id="weights.arrows",
        channel="weights",
        message=Message(f"weights.arrows.{arrow or 'mixed'}", {"n": sum(counted.values())}),
        strength=Strength("descriptive"),
        measures=tuple(
            Measure(f"arrow_{side}", sum(n for (_, s), n in counted.items() if s == side))
            for side in ("reference", "candidate")
        ),
        exhibits=(Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.arrows.caption")),),
        limits=(Message("weights.arrows.limit"),),
        arrow=arrow,
    )


def _said(key: str) -> Json:
    return {"key": f"weights.arrows.{key}", "params": {}}


def slopes(told: Sequence[Transformation]) -> Iterator[Finding]:
    """Slopes of each side on the other without a base (errors in variables): the child's slope on its parent
    is 1, the parent's on its child less. Says nothing where a mark decides or matrices are few."""
    usual = [t for t in told if t.kind in (*RELATED, "correlated") and t.kind != "identical"]
    if len(usual) < FEWEST or any(t.kind in MARKS for t in usual):
        return
    votes = Counter(_vote(t) for t in usual)
    arrow: Side | None = None
    for side in ("reference", "candidate"):
        if votes[side] >= AGREE * len(usual):
            arrow = side
    yield Finding(
        id="weights.slopes",
        channel="weights",
        message=Message(
            f"weights.slopes.{arrow or 'none'}", {"n": len(usual), "votes": votes[arrow] if arrow else 0}
        ),
        strength=Strength("descriptive"),
        measures=tuple(
            Measure(f"slopes_{side}", votes[side], n=len(usual)) for side in ("reference", "candidate")
        ),
        limits=(Message("weights.slopes.limit"),),
        arrow=arrow,
    )


def _vote(t: Transformation) -> Side | None:
    """The side from which the other's slope is 1, where the slope back is clearly not."""
    on_reference, on_candidate = (abs((s or 0.0) - 1) for s in (t.moments.slope, t.moments.slope_back))
    if on_reference <= NEAR and on_candidate >= TIMES * on_reference:
        return "reference"
    if on_candidate <= NEAR and on_reference >= TIMES * on_candidate:
        return "candidate"
    return None
