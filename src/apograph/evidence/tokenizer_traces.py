"""What a tokenizer keeps of the other side's work: the state of a file, tokens that its code never uses."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.evidence.dates import day
from apograph.evidence.explain import explained
from apograph.evidence.jsons import json_distance, leaves, nearest_versions
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.tokens import both, shared_tokens, tokens
from apograph.findings import Bearing, Exhibit, Finding, Json, Location, Measure, Message, Side, Unexamined
from apograph.release.types import Content, Release, Version

MAX_SOURCES = 500
MAX_SOURCE = 1 << 20


@examiner("tokenizer", needs=Part.TOKENIZER)
def revision(case: Case) -> Iterator[Finding | Unexamined]:
    """The state of the other side's tokenizer_config.json that has the same values, if its present one has
    not."""
    for side, own, other in case.each_way:
        other_side = "reference" if side == "candidate" else "candidate"
        mine, theirs = _config(own), _config(other)
        if mine is None or theirs is None:
            continue
        now = json_distance(mine[1], theirs[1])
        nearest = nearest_versions(other, theirs[0], mine[1])
        if not nearest or nearest[0][1] >= now:
            continue
        version, distance = nearest[0]
        until = max((v.until or 0 for v, d in nearest if v.git_oid == version.git_oid), default=0)
        yield Finding(
            id=f"tokenizer.revision:{side}",
            channel="tokenizer",
            message=Message(
                "tokenizer.revision.equal" if distance == 0 else "tokenizer.revision.near",
                {
                    "side": side,
                    "other": other_side,
                    "path": mine[0],
                    "since": day(version.since),
                    "until": day(until),
                    "n": distance,
                    "now": now,
                },
            ),
            bearing=Bearing.CONTEXT if _explained(case, mine[1], distance) else Bearing.SUPPORTING,
            measures=(
                Measure("tokenizer.distance_nearest", distance, n=len(leaves(mine[1]))),
                Measure("tokenizer.distance_now", now, n=len(leaves(mine[1]))),
            ),
            locations=(
                Location(side, mine[0]),
                Location(other_side, theirs[0], version.commit),
            ),
            alternatives=(Message("tokenizer.alternative.open"), Message("tokenizer.alternative.third")),
            limits=(Message("tokenizer.revision.forgeable"),),
        )


def _explained(case: Case, value: Json, distance: int) -> bool:
    """Whether a base or claimed source has a state that is as near."""
    for release in (*case.bases, *case.claimed):
        theirs = _config(release)
        if theirs is not None:
            states = [d for v, d in nearest_versions(release, theirs[0], value) if _in_time(v, release)]
            if min([json_distance(theirs[1], value), *states]) <= distance:
                return True
    return False


def _in_time(version: Version, release: Release) -> bool:
    return release.revision_time is None or version.since <= release.revision_time


def _config(release: Release) -> tuple[str, dict[str, Json]] | None:
    """Path and values of tokenizer_config.json."""
    tokenizer = release.tokenizer
    if tokenizer is None or not tokenizer.config:
        return None
    path = next((p for p in tokenizer.files if p.rsplit("/", 1)[-1] == "tokenizer_config.json"), None)
    return (path, dict(tokenizer.config)) if path is not None else None


@examiner("tokenizer", needs=Part.TOKENIZER | Part.CODE)
def unused(case: Case) -> Iterator[Finding | Unexamined]:
    """Shared tokens that the other side's code writes out and one's own code never does."""
    a, b = both(case)
    known = explained(case, lambda r: tokens(r.tokenizer) if r.tokenizer is not None else ())
    shared = shared_tokens(a, b, {t: known.holds(t) for t in tokens(a) & tokens(b)})
    wanted = [content for content, _ in shared.filling]
    seen = {"reference": _uses(case.reference, wanted), "candidate": _uses(case.candidate, wanted)}
    sides: tuple[tuple[Side, Side], ...] = (("candidate", "reference"), ("reference", "candidate"))
    for side, other in sides:
        left = [content for content in wanted if content in seen[other] and content not in seen[side]]
        if not left:
            continue
        rows: list[Json] = [
            [content, seen["reference"].get(content), seen["candidate"].get(content)] for content in wanted
        ]
        yield Finding(
            id=f"tokenizer.unused:{side}",
            channel="tokenizer",
            message=Message(
                "tokenizer.unused.some",
                {"n": len(left), "side": side, "other": other, "list": " ".join(left[:6])},
            ),
            bearing=Bearing.SUPPORTING,
            measures=(Measure("tokenizer.unused", len(left), n=len(wanted)),),
            exhibits=(
                Exhibit(
                    "table",
                    {"columns": ["value", "reference", "candidate"], "rows": rows},
                    Message("tokenizer.unused.caption"),
                ),
            ),
            locations=tuple(Location(other, path) for path in sorted({seen[other][c] for c in left})),
            alternatives=(Message("tokenizer.unused.alternative"), Message("tokenizer.alternative.third")),
            limits=(Message("tokenizer.unused.limit"), *known.limits(shared.filling)),
        )


def _uses(release: Release, contents: list[str]) -> dict[str, str]:
    """The first Python file of the examined revision in which each content is written out."""
    found: dict[str, str] = {}
    sources = [f.path for f in release.files if f.path.endswith(".py") and f.content is Content.PRESENT]
    for path in sources[:MAX_SOURCES]:
        text = (release.read(path, MAX_SOURCE) or b"").decode("utf-8", "replace")
        for content in contents:
            if content not in found and content in text:
                found[content] = path
    return found
