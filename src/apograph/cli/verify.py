"""``apograph verify``: does a saved report still hold?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from apograph.cli import FOUND, worst
from apograph.cli.case import Dating, Inputs, answer_files, with_files_of
from apograph.cli.compare import examined, exit_code
from apograph.cli.options import (
    Answers,
    Base,
    Claimed,
    Claims,
    Key,
    Logits,
    NoisedAnswers,
    PanelAnswers,
    Published,
    Quiet,
    Saved,
    WitnessFiles,
    WitnessRoots,
)
from apograph.findings import Message, Refusal, Report
from apograph.report.escape import visible
from apograph.report.words import say


def verify(
    saved: Saved,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="RELEASE", help=say("cli.verify.reference"))
    ] = None,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="RELEASE", help=say("cli.verify.candidate"))
    ] = None,
    base: Base = [],  # noqa: B006 - typer copies it
    claimed: Claimed = [],  # noqa: B006
    claims: Claims = None,
    answers: Answers = None,
    panel_answers: PanelAnswers = [],  # noqa: B006
    noised_answers: NoisedAnswers = [],  # noqa: B006
    key: Key = None,
    logits: Logits = None,
    witness: WitnessFiles = [],  # noqa: B006
    witness_roots: WitnessRoots = [],  # noqa: B006
    published: Published = [],  # noqa: B006
    quiet: Quiet = False,
) -> int:
    """Print what came out otherwise; returns 1 when something did, else what ``compare`` would.

    Raises Refusal 2 for a report that does not fit its hash or schema, and as ``compare`` does.
    """
    from apograph.report.json_format import dumps, loads, read

    then = read(Path(saved))
    print(say("cli.verify.intact"))
    inputs = Inputs(
        reference or _at_its_revision(then, "reference"),
        candidate or _at_its_revision(then, "candidate"),
        tuple(base) or _refs(then, "base"),
        tuple(claimed) or _refs(then, "claimed"),
        _refs(then, "panel"),
        claims,
        answer_files(answers, panel_answers, noised_answers, key),
        Dating(tuple(witness), tuple(witness_roots), tuple(published)),
        logits,
    )
    inputs = with_files_of(inputs, str(then.settings.get("inputs", "")), saved)
    only = [channel for channel in str(then.settings.get("only", "")).split(",") if channel]
    now = loads(dumps(examined(inputs, only=only, download=False, quiet=quiet)))
    differences = compare_reports(then, now)
    for line in differences:
        print(line)
    outcome = "cli.verify.differs" if differences else "cli.verify.holds"
    print(say(outcome, n=len(differences), findings=len(then.findings)))
    return worst([exit_code(now, None), FOUND if differences else 0])


def compare_reports(then: Report, now: Report) -> list[str]:
    """One line for every digest, finding and conclusion that came out otherwise."""
    lines = []
    for old, new in zip(then.releases, now.releases, strict=False):
        if old.digest != new.digest:
            lines.append(
                say("cli.verify.digest", role=say(f"report.role.{old.role}"), ref=visible(new.ref, 120))
            )
    if len(then.releases) != len(now.releases):
        lines.append(say("cli.verify.releases", then=len(then.releases), now=len(now.releases)))
    before, after = ({f.id: f for f in report.findings} for report in (then, now))
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            kind = "gone" if name not in after else "new" if name not in before else "changed"
            lines.append(say(f"cli.verify.{kind}", finding=visible(name, 120)))
    if then.conclusion != now.conclusion:
        lines.append(say("cli.verify.conclusion"))
    return lines


def _refs(report: Report, role: str) -> tuple[str, ...]:
    return tuple(release.ref for release in report.releases if release.role == role)


def _at_its_revision(report: Report, side: str) -> str:
    """The release as the report names it; a bare repository that has moved on, at the revision examined."""
    from apograph.release import open_release

    release = next((r for r in report.releases if r.role == side), None)
    if release is None:
        raise Refusal(2, Message("report.refused.shape", {"where": side}))
    if release.revision is None or open_release(release.ref).digest == release.digest:
        return release.ref
    named, at, _ = release.ref.rpartition("@")
    path = named if at and not os.path.lexists(release.ref) else release.ref
    return f"{path}@{release.revision}"
