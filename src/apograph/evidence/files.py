"""Equal files: the same content on both sides, at any path, in any revision, by any identity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apograph.evidence.dates import day
from apograph.evidence.explain import Explained, cell, explained
from apograph.evidence.identities import Shared, State, current, earlier, hash_where_needed, shared_contents
from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import (
    Bearing,
    Exhibit,
    Finding,
    Json,
    Location,
    Measure,
    Message,
    Side,
    Strength,
    Unexamined,
)
from apograph.release.types import Release

OWN_WORK = ("weights", "code", "other")
"""Tokenizer and configuration files pass unchanged from ancestor to descendant: alone they are no sign."""


@examiner("files", needs=Part.FILES)
def equal_files(case: Case) -> Iterator[Finding | Unexamined]:
    """Equal contents, each content once: weight files in a finding of their own."""
    hashed = hash_where_needed(case.reference, case.candidate)
    now = current(case.reference, hashed[0]), current(case.candidate, hashed[1])
    shared = shared_contents([*now[0], *earlier(case.reference)], [*now[1], *earlier(case.candidate)])
    known = explained(case, _identities)
    covered = _coverage(now, shared)
    if _listing(now[0]) == _listing(now[1]):
        yield _finding("identical", [s for s in shared if s.now], known, covered)
        return
    weights = [s for s in shared if s.kind == "weights" and not s.boilerplate]
    rest = [s for s in shared if s not in weights]
    if weights:
        yield _finding("weights", weights, known, covered)
    yield _finding("equal", rest, known, covered)


def _listing(states: list[State]) -> set[tuple[str, frozenset[str]]]:
    return {(s.path, s.ids) for s in states}


def _identities(release: Release) -> Iterator[str]:
    """All identities that a base or claimed source had by the revision at which it was opened."""
    for state in (*current(release), *earlier(release, release.revision_time)):
        yield from state.ids


def _finding(kind: str, shared: list[Shared], known: Explained[str], covered: list[Measure]) -> Finding:
    telling = [s for s in shared if not s.boilerplate]
    beyond = sorted((s for s in telling if not any(known.holds(i) for i in s.ids)), key=_rank)
    variant = "some" if beyond else "explained" if telling else "boilerplate" if shared else "none"
    absent = sum(s.absent for s in beyond)
    identities = [next((i for i in sorted(s.ids) if known.holds(i)), min(s.ids)) for s in telling]
    return Finding(
        id=f"files.{kind}",
        channel="files",
        message=Message(
            f"files.{kind}.{variant}",
            {
                "n": len(beyond),
                "all": len(shared),
                "name": beyond[0].candidate[0].path if beyond else "",
                "other": beyond[0].reference[0].path if beyond else "",
            },
        ),
        bearing=_bearing(beyond),
        strength=Strength("descriptive" if beyond else "none"),
        measures=(
            Measure("files.contents", len(shared)),
            Measure("files.boilerplate", len(shared) - len(telling)),
            Measure("files.older", sum(not s.now for s in telling)),
            Measure("files.absent", absent),
            *covered,
            *known.measures(identities),
        ),
        exhibits=(Exhibit("table", _table(shared, known), Message("files.caption")),) if shared else (),
        locations=tuple(place for s in beyond for place in _places(s)),
        alternatives=_alternatives(beyond),
        limits=(*known.limits(identities), *([Message("files.absent", {"n": absent})] if absent else [])),
    )


def _rank(shared: Shared) -> int:
    """What counts most stands first: work of one's own, then a tokenizer, then configuration."""
    return 0 if shared.kind in OWN_WORK else 1 if shared.kind == "tokenizer" else 2


def _bearing(beyond: Sequence[Shared]) -> Bearing:
    if any(s.kind in OWN_WORK for s in beyond):
        return Bearing.DISTINCTIVE
    return Bearing.SUPPORTING if any(s.kind == "tokenizer" for s in beyond) else Bearing.CONTEXT


def _alternatives(beyond: Sequence[Shared]) -> tuple[Message, ...]:
    if not beyond:
        return ()
    kinds = {s.kind for s in beyond}
    specific = [k for k in ("weights", "tokenizer", "code") if k in kinds]
    return (
        *(Message(f"files.alternative.{kind}") for kind in specific),
        Message("files.alternative.third"),
        Message("files.alternative.open"),
    )


def _coverage(now: tuple[list[State], list[State]], shared: list[Shared]) -> list[Measure]:
    """How many files, and of how many bytes, of each examined revision are equal to some content of the other
    side."""
    measures = []
    for side, states in zip(("reference", "candidate"), now, strict=True):
        equal = {place.path for s in shared for place in getattr(s, side) if place.version is None}
        total = sum(s.size or 0 for s in states)
        size = sum(s.size or 0 for s in states if s.path in equal)
        measures.append(Measure(f"files.equal_{side}", len(equal), n=len(states)))
        measures.append(Measure(f"files.bytes_{side}", size, "bytes", n=total))
    return [measures[0], measures[2], measures[1], measures[3]]


def _places(shared: Shared) -> Iterator[Location]:
    sides: tuple[tuple[Side, State], ...] = (
        ("reference", shared.reference[0]),
        ("candidate", shared.candidate[0]),
    )
    for side, state in sides:
        yield Location(side, state.path, state.version.commit if state.version else None)


def _table(shared: list[Shared], known: Explained[str]) -> dict[str, Json]:
    ranked = sorted(shared, key=lambda s: (s.boilerplate, any(map(known.holds, s.ids))))
    rows: list[Json] = [
        [
            _path(s.reference),
            _path(s.candidate),
            s.candidate[0].size if s.candidate[0].size is not None else s.reference[0].size,
            cell(f"files.kind.{s.kind}"),
            max(s.ids).split(":")[1][:12],
            cell("files.boilerplate") if s.boilerplate else known.cell(*s.ids),
        ]
        for s in ranked
    ]
    return {"columns": ["reference", "candidate", "bytes", "kind", "identity", "explained"], "rows": rows}


def _path(states: Sequence[State]) -> Json:
    """Where one side has the content now, else where and when it had it."""
    first = states[0]
    if first.version is None:
        return first.path
    until = day(first.version.until) if first.version.until is not None else ""
    return cell("files.past", path=first.path, since=day(first.version.since), until=until)
