"""Merges among the releases of a case: which side is a sum of the other's and further releases' changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from apograph.evidence.descent_edges import edge
from apograph.evidence.descent_facts import Facts
from apograph.evidence.descent_family import CANDIDATE, REFERENCE, Family
from apograph.evidence.descent_tables import figure, label
from apograph.evidence.merge import (
    AS_GOOD,
    EXACT,
    LEAST,
    NEEDED,
    UNEXPLAINED,
    Fit,
    Pooled,
    fit,
    freely,
    pooled,
    total_of,
)
from apograph.findings import Exhibit, Finding, Measure, Message, Param, Side, Strength


@dataclass(frozen=True, slots=True)
class Merge:
    """``target`` as ``origin`` plus a sum over ``parts``. ``by_matrix`` has the fit of every matrix; ``own``
    is what is left for the origin where it is a parent, not a base (1 less the other coefficients)."""

    target: int
    origin: int
    parts: tuple[int, ...]
    total: Pooled
    by_matrix: dict[str, Fit]
    own: float | None
    allowed: float = UNEXPLAINED

    @property
    def found(self) -> bool:
        """Whether several parts are needed and little is left unexplained."""
        needed = sum(self.total.needed) + (self.own is not None and self.own >= LEAST)
        return needed >= 2 and self.total.unexplained <= self.allowed


def merge(facts: Sequence[Facts], target: int, origin: int, parts: Sequence[int], base: bool) -> Merge | None:
    """The fit over all matrices that these members have; None where the target equals the origin. A sum of
    further releases alone is preferred where it explains as much: it needs nothing of the other side."""
    other = CANDIDATE if target == REFERENCE else REFERENCE
    fits: dict[str, Fit] = {}
    squares = []
    for f in facts:
        if {target, origin, *parts} <= set(f.present):
            found = fit(f.gram, target, origin, parts)
            if found is not None:
                fits[f.name] = _innocent(f, found, target, other, origin, parts)
                squares.append(f.square(target, origin))
    if not fits:
        return None
    total = pooled(list(fits.values()), squares)
    own = None if base else 1 - sum(total.means)
    return Merge(target, origin, tuple(parts), total, fits, own)


def _innocent(f: Facts, found: Fit, target: int, other: int, origin: int, parts: Sequence[int]) -> Fit:
    """The fit without the other side where that leaves as little, beyond what storage rounds away: around the
    base, or, where the other side is the origin, around the best of the parts."""
    total = f.square(target, origin)

    def best(parts: Sequence[int]) -> tuple[dict[int, float], float]:
        if origin != other:
            return total_of(f.gram, target, origin, parts)
        return freely(f.gram, target, parts) if parts else ({}, total)

    rest = [n for n in parts if n != other]
    shares, left = best(rest)
    lost = f.rounded[target] + sum(c * c * f.rounded[n] for n, c in shares.items())
    lost += (1 - sum(shares.values())) ** 2 * f.rounded[origin]
    least = found.unexplained * total
    if left > min(least + AS_GOOD * total, NEEDED * (least + lost)):
        return found
    without = [best([n for n in rest if n != k])[1] / total for k in parts]
    return Fit(tuple(shares.get(n, 0.0) for n in parts), left / total, tuple(without))


def merges(kin: Family, facts: Sequence[Facts], origin: int | None) -> Iterator[Finding]:
    """One finding: the merge that is there, or that none was found. Nothing without a further release: of
    two sides and one base alone, the descent finding says all."""
    everyone = range(len(kin.members))
    tried: list[Merge] = []
    for target, other in ((CANDIDATE, REFERENCE), (REFERENCE, CANDIDATE)):
        start = other if origin is None else origin
        parts = [n for n in everyone if n not in (target, start)]
        if len(parts) + (origin is None) < 2:
            continue
        one = merge(facts, target, start, parts, origin is not None)
        if one is not None:
            below = any(_below(facts, origin, target, n) for n in parts)
            tried.append(replace(one, allowed=EXACT) if below else one)
    if not tried:
        return
    found = [m for m in tried if m.found]
    best = min(found or tried, key=lambda m: m.total.unexplained)
    yield _finding(kin, best, "found" if len(found) == 1 else "none")


def _below(facts: Sequence[Facts], origin: int | None, target: int, member: int) -> bool:
    """Whether a release holds the target's whole change: is it a part of it, or its
    descendant? A parent too is nearly the sum of its child and others."""
    if origin is None:
        return False
    found = edge(facts, origin, target, member)
    return found is not None and found.answer == "whole"


def _finding(kin: Family, m: Merge, key: str) -> Finding:
    other = CANDIDATE if m.target == REFERENCE else REFERENCE
    shares = dict(zip(m.parts, m.total.means, strict=True))
    intervals = dict(zip(m.parts, m.total.intervals, strict=True))
    if m.own is not None:
        shares[m.origin] = m.own
    params: dict[str, Param] = {
        "target": label(kin, m.target),
        "list": ", ".join(f"{c:.2f} {label(kin, n)}" for n, c in sorted(shares.items())),
        "unexplained": m.total.unexplained,
        "n": m.total.n,
    }
    rows = [
        [label(kin, n), kin.members[n].ref, figure(c), *_range(m, n, intervals)]
        for n, c in sorted(shares.items())
    ]
    columns = [
        *("descent_member", "merge_release", "merge_coefficient", "merge_low", "merge_high"),
        *("merge_smallest", "merge_largest"),
    ]
    return Finding(
        id="weights.merge",
        channel="weights",
        message=Message(f"weights.merge.{key}", params),
        strength=Strength("descriptive"),
        measures=(
            Measure("merge_coefficient", shares.get(other, 0.0), n=m.total.n, interval=intervals.get(other)),
            Measure("merge_parts", sum(c >= LEAST for c in shares.values()) if key == "found" else 0),
            Measure("merge_unexplained", m.total.unexplained, "share", n=m.total.n),
            Measure("merge_matrices", sum(f.counts for f in m.by_matrix.values()), n=m.total.n),
        ),
        exhibits=(Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.merge.caption")),),
        alternatives=(Message("weights.merge.alternative.through"),),
        limits=tuple(Message(f"weights.merge.limit.{a}") for a in ("given", "forged", "sparse")),
        arrow=_source(m) if key == "found" else None,
    )


def _source(m: Merge) -> Side | None:
    """The side that is a part of the other; None where the merge is of third releases alone."""
    other: Side = "candidate" if m.target == REFERENCE else "reference"
    number = CANDIDATE if m.target == REFERENCE else REFERENCE
    share = m.own if number == m.origin else dict(zip(m.parts, m.total.means, strict=True)).get(number)
    return other if (share or 0.0) >= LEAST else None


def _range(m: Merge, member: int, intervals: dict[int, tuple[float, float]]) -> list[float | None]:
    if member not in intervals:
        return [None] * 4
    low, high = m.total.ranges[m.parts.index(member)]
    return [figure(x) for x in (*intervals[member], low, high)]
