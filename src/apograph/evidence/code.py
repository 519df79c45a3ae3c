"""Python code: functions of the candidate that answer functions of the reference, and what explains them."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

from apograph.align.code_explain import bits
from apograph.align.code_trees import CodeTree, total_bits
from apograph.evidence.code_analysis import CLEAR_BITS, Analysis, Other, analysis, is_unit, mean_consistency
from apograph.evidence.code_exhibits import MAX_ROWS, PAIRS, code_pair, locations, name_table, pair_table
from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import Bearing, Exhibit, Finding, Measure, Message, Param, Strength, Unexamined

ENOUGH_BITS = 400.0
"""Code on both sides from which its sharing nothing speaks for separate origins."""
LITTLE = 0.05
NEARER = 1.25
"""One source explains at least so many times as much as the other, for "nearer" to be said."""
NEARER_BITS = 100.0
NULL_PAIRS, NULL_HITS = 400, 0
_ALTERNATIVES = ("upstream", "paper", "idiom", "author", "generated")


@examiner("code", needs=Part.CODE)
def functions(case: Case) -> Iterator[Finding | Unexamined]:
    """Matched functions, the renaming between them, and what a base or the claimed source explains."""
    found = analysis(case)
    yield from found.reference.unread
    yield from found.candidate.unread
    for other in found.others:
        yield from other.sources.unread
    sides = (total_bits(found.reference.units), total_bits(found.candidate.units))
    if not all(sides):
        side = "candidate" if sides[0] else "reference"
        yield Unexamined("code", Message("code.none", {"side": side}), side)
        return
    if found.clear_rows:
        yield _functions(found)
    else:
        yield _nothing(found, min(sides))


def _functions(found: Analysis) -> Finding:
    rows = found.clear_rows
    units = [t for t in found.candidate.units if is_unit(t)]
    matched = {r.match.right for r in rows if is_unit(r.match.right)} | _equal(found)
    share = sum(1 for a, b, _ in found.names.renamed if a != b)
    bearing = Bearing.CONTEXT
    if found.distinctive:
        bearing = Bearing.DISTINCTIVE
    elif found.own_bits >= found.shared_bits / 4:
        bearing = Bearing.SUPPORTING
    kind = "explained" if bearing is Bearing.CONTEXT else "found" if found.others else "alone"
    left_over = {r.match.right for r in rows if r.own >= CLEAR_BITS / 2 and is_unit(r.match.right)}
    tables = [pair_table(found), *([t] if (t := name_table(found)) else [])]
    return Finding(
        id="code.functions",
        channel="code",
        message=Message(
            f"code.functions.{kind}",
            {
                "n": len(matched),
                "all": len(units),
                "own": len(left_over),
                "bits": round(found.own_bits),
                "renamed": share,
            },
        ),
        bearing=bearing,
        strength=_strength() if found.distinctive else Strength(),
        measures=_measures(found, len(matched), len(units)),
        exhibits=(*tables, *(code_pair(found, r) for r in rows[:PAIRS])),
        locations=tuple(place for r in rows[:PAIRS] for place in locations(found, r)),
        alternatives=tuple(Message(f"code.alternative.{name}") for name in _ALTERNATIVES),
        limits=(Message("code.limit"),),
    )


def _equal(found: Analysis) -> set[CodeTree]:
    """Units whose counterpart is equal in full: however small, they are answered, but carry no weight."""
    pairs = (*found.found.matches, *found.found.small)
    return {m.right for m in pairs if is_unit(m.right) and m.left.full[-1] == m.right.full[-1]}


def _strength() -> Strength:
    """The upper 95 % bound of the measured share of unrelated pairs that reach the same (rule of three)."""
    bound = 3.0 / NULL_PAIRS if NULL_HITS == 0 else (NULL_HITS + 3.0) / NULL_PAIRS
    null = Message("code.null", {"pairs": NULL_PAIRS, "hits": NULL_HITS})
    return Strength("calibrated", round(log10(bound), 2), null)


def _measures(found: Analysis, matched: int, units: int) -> tuple[Measure, ...]:
    left, right = found.found.coverage
    rows = found.clear_rows
    consistency = mean_consistency([r.match for r in rows])
    return (
        Measure("code_matched", matched, n=units),
        Measure("code_covered", round(right, 4), "share"),
        Measure("code_covering", round(left, 4), "share"),
        Measure("code_bits", round(found.shared_bits), "bits"),
        Measure("code_explained", round(found.shared_bits - found.own_bits), "bits"),
        Measure("code_own", round(found.own_bits), "bits"),
        Measure(
            "code_consistency",
            round(consistency, 4),
            "share",
            n=sum(r.match.names().occurrences for r in rows),
        ),
    )


def _nothing(found: Analysis, smaller: float) -> Finding:
    left, right = found.found.coverage
    much = smaller >= ENOUGH_BITS and max(left, right) < LITTLE
    return Finding(
        id="code.functions",
        channel="code",
        message=Message("code.functions.nothing", {"n": len(found.candidate.units)}),
        bearing=Bearing.AGAINST if much else Bearing.CONTEXT,
        measures=(
            Measure("code_covered", round(right, 4), "share"),
            Measure("code_covering", round(left, 4), "share"),
        ),
        limits=(Message("code.limit"),),
    )


@examiner("code", needs=Part.CODE)
def nearer(case: Case) -> Iterator[Finding | Unexamined]:
    """Is the candidate's code nearer to the reference or to the source that it names?"""
    found = analysis(case)
    for number, other in enumerate(o for o in found.others if o.role == "claimed"):
        yield _nearer(found, other, f":{number + 1}" if number else "")
        yield from other.later_unread
        if other.later:
            later = _later(found, other, f":{number + 1}" if number else "")
            if later is not None:
                yield later


def _nearer(found: Analysis, other: Other, detail: str) -> Finding:
    mine, units = found.found.credits[1], found.candidate.units
    totals = [sum(bits(u, c.get(u)) for u in units) for c in (mine, other.candidate)]
    only = [
        sum(bits(u, mine.get(u), other.candidate.get(u)) for u in units),
        sum(bits(u, other.candidate.get(u), mine.get(u)) for u in units),
    ]
    answer = "undecided"
    if only[0] >= NEARER_BITS and totals[0] >= NEARER * totals[1]:
        answer = "reference"
    elif only[1] >= NEARER_BITS and totals[1] >= NEARER * totals[0]:
        answer = "claimed"
    whole = total_bits(units) or 1.0
    bearing = {"reference": Bearing.SUPPORTING, "claimed": Bearing.AGAINST, "undecided": Bearing.CONTEXT}
    return Finding(
        id=f"code.nearer{detail}",
        channel="code",
        message=Message(
            f"code.nearer.{answer}",
            {
                "reference": totals[0] / whole,
                "claimed": totals[1] / whole,
                "source": other.sources.release.ref,
                "revision": (other.sources.release.revision or "")[:7],
            },
        ),
        bearing=bearing[answer],
        measures=(
            Measure("code_by_reference", round(totals[0]), "bits"),
            Measure("code_by_claimed", round(totals[1]), "bits"),
            Measure("code_only_reference", round(only[0]), "bits"),
            Measure("code_only_claimed", round(only[1]), "bits"),
        ),
        exhibits=(_source_table(found, other),),
        alternatives=(Message("code.alternative.author"), Message("code.alternative.upstream")),
        limits=(Message("code.limit"), Message("code.limit_dated")),
    )


def _source_table(found: Analysis, other: Other) -> Exhibit:
    rows = []
    for unit in sorted(found.candidate.units, key=lambda u: -u.total)[:MAX_ROWS]:
        a, b = bits(unit, found.found.credits[1].get(unit)), bits(unit, other.candidate.get(unit))
        nearest = "reference" if a > NEARER * b + 8 else "claimed" if b > NEARER * a + 8 else "undecided"
        name = f"{unit.path}:{unit.unit.start} {unit.unit.name}"
        rows.append([name, round(unit.bits), round(a), round(b), _cell(nearest)])
    keys = ("candidate", "whole", "by_reference", "by_claimed", "nearest")
    data = {"columns": [f"code_{key}" for key in keys], "rows": rows}
    return Exhibit("table", data, Message("code.nearer.table"))


def _cell(nearest: str) -> dict[str, object]:
    return {"key": f"code.nearest.{nearest}", "params": {}}


def _later(found: Analysis, other: Other, detail: str) -> Finding | None:
    """Matched functions that only the claimed source's later state explains: named, not subtracted."""
    names = []
    for row in found.clear_rows:
        unit = row.match.right
        gained = bits(unit, other.later.get(unit), other.candidate.get(unit))
        if gained >= row.shared / 3 and gained >= NEARER_BITS / 4:
            names.append(f"{unit.path}:{unit.unit.start} {unit.unit.name}")
    if not names:
        return None
    newest = other.sources.release.later
    params: dict[str, Param] = {
        "n": len(names),
        "source": other.sources.release.ref,
        "revision": ((newest.revision if newest else None) or "")[:7],
    }
    return Finding(
        id=f"code.later{detail}",
        channel="code",
        message=Message("code.later.found", params),
        strength=Strength("none"),
        exhibits=(Exhibit("list", {"items": names[:MAX_ROWS]}, Message("code.later.list")),),
        limits=(Message("code.limit_dated"),),
    )


@examiner("code", needs=Part.CODE)
def script(case: Case) -> Iterator[Finding | Unexamined]:
    """Sources whose text does not read as it is executed: direction marks, names of mixed scripts."""
    found = analysis(case)
    for side, sources in (("reference", found.reference), ("candidate", found.candidate)):
        flagged = [m.path for m in sources.modules if {"bidi", "mixed-script"} & set(m.flags)]
        if flagged:
            yield Finding(
                id=f"code.script:{side}",
                channel="code",
                message=Message("code.script.found", {"side": side, "n": len(flagged)}),
                strength=Strength("none"),
                exhibits=(Exhibit("list", {"items": flagged[:MAX_ROWS]}, Message("code.script.list")),),
            )
