"""One walk along the path: every examiner over one case, then the conclusion, as a ``Report``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from apograph import __version__
from apograph.evidence import Case, Part, all_examiners, sides
from apograph.evidence.registry import Examiner
from apograph.findings import (
    Finding,
    Message,
    Param,
    Refusal,
    ReleaseInfo,
    Report,
    Unexamined,
)
from apograph.release.types import Release
from apograph.weigh.conclusion import conclude

SCHEMA_VERSION = "1"

Progress = Callable[[str, int, int], None]
"""Called with the name of the examiner about to run, its number and the number of examiners."""


def examine(
    case: Case,
    *,
    only: Iterable[str] = (),
    arguments: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Run every examiner (of the channels in ``only``, when given) over ``case`` and conclude.

    A failing examiner never ends the examination: what it could not do is listed as not examined.
    Raises Refusal (4) when ``only`` names a channel that no examiner has.
    """
    examiners = chosen(tuple(only))
    findings: list[Finding] = []
    unexamined: list[Unexamined] = []
    examined: set[str] = set()
    try:
        for number, examiner in enumerate(examiners):
            if progress is not None:
                progress(examiner.name, number, len(examiners))
            if lacking := _lacking(case, examiner):
                unexamined += lacking
            elif run(case, examiner, findings, unexamined):
                examined.add(examiner.channel)
    finally:
        sides.close(case)
    unexamined += _faults(case)
    settings: dict[str, Param] = {"only": ",".join(sorted(set(only)))} if only else {}
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=f"apograph {__version__}",
        created=now(),
        arguments=tuple(arguments),
        settings=settings,
        releases=tuple(_infos(case)),
        findings=tuple(findings),
        unexamined=tuple({repr(gap): gap for gap in unexamined}.values()),  # a Message has no hash
        conclusion=conclude(
            findings,
            same_digest=case.reference.digest == case.candidate.digest and bool(case.reference.files),
            bases_given=bool(case.bases),
            examined=examined,
        ),
    )


def chosen(only: tuple[str, ...]) -> list[Examiner]:
    """The examiners of the channels ``only``, or all. Raises Refusal 4 for a channel that none has."""
    examiners = all_examiners()
    known = {e.channel for e in examiners}
    for channel in only:
        if channel not in known:
            params = {"channel": channel, "known": ", ".join(sorted(known))}
            raise Refusal(4, Message("examine.unknown_channel", params))
    return [e for e in examiners if not only or e.channel in only]


def run(case: Case, examiner: Examiner, findings: list[Finding], unexamined: list[Unexamined]) -> bool:
    """Whether the examiner ran to its end; what it found before a failure is kept."""
    try:
        for result in examiner.run(case):
            if isinstance(result, Finding):
                findings.append(result)
            else:
                unexamined.append(result)
    except Refusal as refusal:
        unexamined.append(
            Unexamined(examiner.channel, refusal.message, path=refusal.path, fault=True, code=refusal.code)
        )
        return False
    except MemoryError:
        message = Message("cli.error.memory")
        unexamined.append(Unexamined(examiner.channel, message, fault=True, code=5))
        return False
    except Exception as error:
        if os.environ.get("APOGRAPH_DEBUG"):
            raise
        params = {"examiner": examiner.name, "error": type(error).__name__}
        unexamined.append(Unexamined(examiner.channel, Message("examine.failed", params), fault=True))
        return False
    return True


def _lacking(case: Case, examiner: Examiner) -> list[Unexamined]:
    """What an examiner needs and a side does not have."""
    lacking = []
    for side, release in (("reference", case.reference), ("candidate", case.candidate)):
        for part in examiner.needs:
            if not _has(release, part):
                assert part.name is not None
                lacking.append(
                    Unexamined(examiner.channel, Message(f"examine.lacks.{part.name.lower()}"), side)
                )
    return lacking


def _has(release: Release, part: Part) -> bool:
    match part:
        case Part.FILES:
            return bool(release.files)
        case Part.CONFIG:
            return bool(release.configs)
        case Part.TENSORS:
            return release.tensors is not None
        case Part.TOKENIZER:
            return release.tokenizer is not None
        case Part.CODE:
            return any(f.path.endswith(".py") for f in release.files)
        case Part.HISTORY:
            return release.history is not None and bool(release.history.commits)
        case Part.CARD:
            return release.card is not None
        case _:
            return True


def _parties(case: Case) -> list[tuple[str, Release]]:
    return [
        ("reference", case.reference),
        ("candidate", case.candidate),
        *(("base", r) for r in case.bases),
        *(("claimed", r) for r in case.claimed),
        *(("panel", r) for r in case.panel),
    ]


def _faults(case: Case) -> list[Unexamined]:
    faults = []
    for role, release in _parties(case):
        for fault in release.faults:
            faults.append(Unexamined(fault.examiner, fault.reason, role, fault.path, fault.fault, fault.code))
    return faults


def _infos(case: Case) -> Iterable[ReleaseInfo]:
    for role, release in _parties(case):
        history, tensors = release.history, release.tensors
        note = None
        if release.later is not None:
            note = Message("examine.later", {"revision": (release.later.revision or "")[:12]})
        yield ReleaseInfo(
            role=role,
            ref=release.ref,
            kind=release.kind,
            revision=release.revision,
            digest=release.digest,
            files=len(release.files),
            size=sum(f.size or 0 for f in release.files),
            tensors=None if tensors is None else len(tensors.entries),
            first_date=_iso(history.commits[0].time) if history is not None and history.commits else None,
            revision_date=_iso(release.revision_time),
            note=note,
        )


def _iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    """Now, or SOURCE_DATE_EPOCH, by which builds are made reproducible (reproducible-builds.org)."""
    return str(_iso(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
