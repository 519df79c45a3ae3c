"""What the two histories say: who came first, and which state of the reference each file is nearest to."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.align.dating import Fingerprint, Nearest, nearest
from apograph.evidence.code_analysis import explained_share
from apograph.evidence.code_sources import library
from apograph.evidence.dates import day
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.shelf import Shelf, kind_of
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
from apograph.release.types import Commit, History, Release, Version

EVENTS = 80
ROWS = 60
CLOSE = 0.5
"""A state less near than this is not reported."""
TELLING = 0.75
"""A state at least this near counts towards the interval."""
SMALLEST = 200
"""Bytes. Smaller files are alike by chance or habit."""


@examiner("history", needs=Part.HISTORY)
def timeline(case: Case) -> Iterator[Finding | Unexamined]:
    """Both histories on one axis."""
    reference, candidate = case.reference.history, case.candidate.history
    assert reference is not None
    assert candidate is not None
    for side, history in (("reference", reference), ("candidate", candidate)):
        if history.truncated:
            yield Unexamined("history", Message("history.truncated"), side, fault=True, code=5)
    first_r, first_c = reference.commits[0], candidate.commits[0]
    order = (
        "same"
        if first_r.time == first_c.time
        else "reference"
        if first_r.time < first_c.time
        else "candidate"
    )
    events = [*_events("reference", reference), *_events("candidate", candidate)]
    yield Finding(
        id="history.timeline",
        channel="history",
        message=Message(
            f"history.timeline.{order}",
            {
                "reference": day(first_r.time),
                "candidate": day(first_c.time),
                "n": len(reference.commits),
                "m": len(candidate.commits),
            },
        ),
        strength=Strength("none"),
        exhibits=(
            Exhibit(
                "timeline",
                {"events": events, "interval": None, "note": ""},
                Message("history.timeline.caption"),
            ),
        ),
        limits=(Message("history.forgeable"),),
    )


def _events(side: str, history: History) -> list[Json]:
    kept = history.commits if len(history.commits) <= EVENTS else _spread(history.commits)
    return [
        {
            "time": c.time,
            "side": side,
            "label": c.message.split("\n")[0][:80],
            "kind": "commit",
            "revision": c.id,
        }
        for c in kept
    ]


def _spread(commits: tuple[Commit, ...]) -> list[Commit]:
    """First, last and evenly spaced ones between."""
    return [commits[round(n * (len(commits) - 1) / (EVENTS - 1))] for n in range(EVENTS)]


@examiner("history")
def dating(case: Case) -> Iterator[Finding | Unexamined]:
    """For every file of one side the nearest state in the other's history, and when it was current."""
    sources = library(case)
    others = [Shelf(release, _current(release), sources) for release in (*case.bases, *case.claimed)]
    for side, release, other in case.each_way:
        if other.history is None:
            continue  # said once, by the examiner of both histories
        theirs = Shelf(other, other.history.versions, sources)
        found = [
            (path, hit)
            for path, hit in _nearest(Shelf(release, _current(release), sources), theirs, others)
            if kind_of(path) != "python" or explained_share(case, side, path) < hit.similarity
        ]
        if theirs.left_out:
            reason = Message("history.states_left_out", {"n": theirs.left_out})
            yield Unexamined("history", reason, fault=True, code=5)
        if found:
            yield _dating(side, found, release.history)


def _nearest(own: Shelf, theirs: Shelf, others: list[Shelf]) -> Iterator[tuple[str, Nearest]]:
    """Each file with its nearest state, unless a base or the claimed source has one as near."""
    for file in own.versions:
        mark = own.fingerprint(file.path, file.git_oid)
        hit = nearest(file.git_oid, mark, theirs.versions, theirs.near(file.path, mark), CLOSE)
        if hit is not None and not _explained(file.path, file.git_oid, mark, hit.similarity, others):
            yield file.path, hit


def _current(release: Release) -> list[Version]:
    return [
        Version(f.path, f.git_oid, "", 0, None)
        for f in release.files
        if f.git_oid is not None and (f.size is None or f.size > SMALLEST)
    ]


def _explained(
    path: str, git_oid: str, mark: Fingerprint | None, similarity: float, others: list[Shelf]
) -> bool:
    """Whether a base or the claimed source holds something as near: then the nearness says nothing.

    For Python the examiner of code has answered that already (``explained_share``).
    """
    python = kind_of(path) == "python"
    return any(
        nearest(git_oid, mark, shelf.versions, {} if python else shelf.near(path, mark), similarity)
        is not None
        for shelf in others
    )


def _dating(side: Side, found: list[tuple[str, Nearest]], history: History | None) -> Finding:
    other = "reference" if side == "candidate" else "candidate"
    found.sort(key=lambda f: (not (f[1].dates and f[1].similarity >= CLOSE), -f[1].similarity, f[0]))
    telling = [hit for _, hit in found if hit.dates and hit.similarity >= TELLING]
    since = max((hit.since for hit in telling), default=None)
    until = min((hit.until for hit in telling if hit.until is not None), default=None)
    agree = since is not None and (until is None or since < until)
    key = "none" if since is None else "conflict" if not agree else "open" if until is None else "interval"
    rows = [
        [
            path,
            hit.path,
            hit.commit[:12],
            hit.similarity,
            hit.runner_up,
            hit.states,
            day(hit.since),
            day(hit.until),
        ]
        for path, hit in found[:ROWS]
    ]
    columns = ["file", "reference_file", "revision", "similarity", "runner_up", "states", "since", "until"]
    interval = {"start": since, "end": until, "label": ""} if agree else None
    events: list[Json] = [
        {"time": hit.since, "side": other, "label": hit.path, "kind": "state", "revision": hit.commit}
        for hit in telling[:EVENTS]
    ]
    if history is not None:
        events += _events(side, history)
    return Finding(
        id=f"history.dating:{side}",
        channel="history",
        message=Message(
            f"history.dating.{key}",
            {
                "side": side,
                "other": other,
                "n": len(found),
                "m": len(telling),
                "since": day(since),
                "until": day(until),
            },
        ),
        bearing=Bearing.SUPPORTING if telling and agree else Bearing.CONTEXT,
        measures=(
            Measure("history.dated_files", len(telling)),
            Measure("history.nearest_files", len(found)),
        ),
        exhibits=(
            Exhibit(
                "timeline",
                {"events": events, "interval": interval, "note": ""},
                Message("history.dating.picture", {"side": side}),
            ),
            Exhibit(
                "table", {"columns": columns, "rows": rows}, Message("history.dating.caption", {"side": side})
            ),
        ),
        locations=tuple(Location(other, hit.path, hit.commit) for hit in telling[:ROWS]),
        alternatives=(
            Message("history.dating.alternative_open"),
            Message("history.dating.alternative_upstream"),
        ),
        limits=(Message("history.forgeable"), Message("history.dating.limit_states")),
    )
