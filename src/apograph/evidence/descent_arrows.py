"""Direction from the two sides alone: marks that only a descendant has, and slopes both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from apograph.evidence.noise_law import NoiseLaw, clean_side, noise_law, projected
from apograph.evidence.transformation import RELATED, Kind, Transformation
from apograph.findings import SIDES, Exhibit, Finding, Json, Measure, Message, Param, Side, Strength

MARKS = {"quantised": "grid", "cast": "bits", "pruned": "zeros", "low_rank": "rounding"}
"""Classes whose source shows, and the mark that shows it."""
CHANGED: tuple[Kind, ...] = ("quantised", "pruned", "noise", "low_rank", "fine_tuned", "merged")
"""Classes of matrices that differ; a cast that is not exact differs by rounding alone."""
NEAR, TIMES, AGREE = 0.02, 3.0, 0.9
"""One slope within 0.02 of 1, the other at least three times as far, and nine of ten matrices that agree."""
FEWEST = 5


def source_of(told: Sequence[Transformation], law: NoiseLaw | None) -> Side | None:
    """The side to which every mark points. None where matrices differ without one: two that were made from a
    third may each have left other parts of it as they were, or rounded, and those prove nothing."""
    trained = [t for t in told if t.matrix and not t.computed]
    sides = {t.source for t in trained if t.source is not None}
    sides |= {law.source} if law is not None and law.source is not None else set()
    source = sides.pop() if len(sides) == 1 else None
    return None if source is not None and unmarked(trained, law) else source


def unmarked(told: Sequence[Transformation], law: NoiseLaw | None) -> int:
    """How many matrices differ by more than their class explains, and bear no mark. Beside noise, one is
    explained whose difference is uncorrelated with the same side: it has that noise and more."""
    open_ = [t for t in told if t.matrix and t.kind in CHANGED and t.source is None and not t.exact]
    noise = law.source if law is not None else None
    if noise is None:
        return len(open_)
    others = [t for t in open_ if t.kind != "noise"]
    return 0 if not others or clean_side([t.moments for t in others]) == noise else len(others)


def arrows(told: Sequence[Transformation]) -> Iterator[Finding]:
    """The marks of both sides, by kind and number of matrices; nothing where there is none."""
    trained = [t for t in told if t.matrix and not t.computed]
    counted: Counter[tuple[str, Side]] = Counter()
    for t in trained:
        if t.source is not None and t.kind in MARKS:
            counted[MARKS[t.kind], t.source] += 1
    law = noise_law(trained)
    if law is not None and law.source is not None:
        again = law.equal >= 0.5 * law.pairs > 0
        counted["same_noise" if again else "noise", law.source] = law.tensors
    if not counted:
        return
    arrow, sides = source_of(trained, law), {side for _, side in counted}
    rows: list[Json] = [
        [_said(f"mark.{mark}"), n, _said(f"side.{side}"), _said(f"forger.{mark}")]
        for (mark, side), n in sorted(counted.items())
    ]
    columns: list[Json] = ["arrow_mark", "weights_tensors", "arrow_source", "arrow_forger"]
    key = arrow or ("mixed" if len(sides) > 1 else "unmarked")
    params: dict[str, Param] = {"n": sum(counted.values()), "unmarked": unmarked(trained, law)}
    yield Finding(
        id="weights.arrows",
        channel="weights",
        message=Message(f"weights.arrows.{key}", params),
        strength=Strength("descriptive"),
        measures=tuple(
            Measure(f"arrow_{side}", sum(n for (_, s), n in counted.items() if s == side)) for side in SIDES
        ),
        exhibits=(Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.arrows.caption")),),
        limits=(Message("weights.arrows.limit"), Message("weights.arrows.near")),
        arrow=arrow,
    )


def _said(key: str) -> Json:
    return {"key": f"weights.arrows.{key}", "params": {}}


def slopes(told: Sequence[Transformation]) -> Iterator[Finding]:
    """Slopes of each side on the other without a base (errors in variables): the child's slope on its parent
    is 1, the parent's on its child less. Says nothing where a mark decides or matrices are few; in another
    basis zeros do not show, and pruning reverses slopes."""
    usual = [t for t in told if t.kind in (*RELATED, "correlated") and t.kind != "identical" and not t.turned]
    if len(usual) < FEWEST or any(t.kind in MARKS for t in usual):
        return
    votes = Counter(_vote(t) for t in usual)
    arrow: Side | None = None
    for side in SIDES:
        if votes[side] >= AGREE * len(usual) and not projected([t.moments for t in usual], side):
            arrow = side
    yield Finding(
        id="weights.slopes",
        channel="weights",
        message=Message(
            f"weights.slopes.{arrow or 'none'}", {"n": len(usual), "votes": votes[arrow] if arrow else 0}
        ),
        strength=Strength("descriptive"),
        measures=tuple(Measure(f"slopes_{side}", votes[side], n=len(usual)) for side in SIDES),
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
