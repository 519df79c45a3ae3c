"""``apograph compare``: two releases, all channels, one report."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from apograph.cli import FOUND, worst
from apograph.cli.case import AnswerFiles, Dating, Inputs, answer_files, check_files, files_text, read_case
from apograph.cli.dating import opened_witnesses
from apograph.cli.options import (
    Answers,
    Base,
    Claimed,
    Claims,
    Html,
    Json,
    Key,
    Lang,
    Logits,
    NoisedAnswers,
    PanelAnswers,
    Published,
    Quiet,
    Sinks,
    Verbose,
    WitnessFiles,
    WitnessRoots,
)
from apograph.cli.progress import Progress
from apograph.findings import Bearing, Message, Refusal, Report
from apograph.report.words import say


class Level(StrEnum):
    """Bearings that ``--fail-on`` can ask for, weakest first."""

    context = "context"
    supporting = "supporting"
    distinctive = "distinctive"


def compare(
    reference: Annotated[
        str | None, typer.Argument(metavar="REFERENCE", help=say("cli.compare.reference"), show_default=False)
    ] = None,
    candidate: Annotated[
        str | None, typer.Argument(metavar="CANDIDATE", help=say("cli.compare.candidate"), show_default=False)
    ] = None,
    base: Base = [],  # noqa: B006 - typer copies it
    claimed: Claimed = [],  # noqa: B006
    panel: Annotated[
        list[str], typer.Option("--panel", metavar="RELEASE", help=say("cli.compare.panel"))
    ] = [],  # noqa: B006
    claims: Claims = None,
    answers: Answers = None,
    panel_answers: PanelAnswers = [],  # noqa: B006
    noised_answers: NoisedAnswers = [],  # noqa: B006
    key: Key = None,
    logits: Logits = None,
    witness: WitnessFiles = [],  # noqa: B006
    witness_roots: WitnessRoots = [],  # noqa: B006
    published: Published = [],  # noqa: B006
    case: Annotated[
        str | None, typer.Option("--case", metavar="CASE.toml", help=say("cli.compare.case"))
    ] = None,
    json: Json = None,
    html: Html = None,
    lang: Lang = "en",
    only: Annotated[list[str], typer.Option("--only", metavar="CHANNEL", help=say("cli.compare.only"))] = [],  # noqa: B006
    fail_on: Annotated[Level | None, typer.Option("--fail-on", help=say("cli.compare.fail_on"))] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    download: Annotated[bool, typer.Option("--download", help=say("cli.compare.download"))] = False,
) -> int:
    """Examine two releases, write and show the report; returns ``exit_code`` of it.

    Raises Refusal 4 for a side that is missing, a case file beside other inputs, a file that cannot be opened
    or an output that cannot be written, and as ``open_case`` does.
    """
    recorded = answer_files(answers, panel_answers, noised_answers, key)
    dating = Dating(tuple(witness), tuple(witness_roots), tuple(published))
    given = (*dating.witnesses, *dating.roots, *dating.published)
    named = (reference, candidate, *base, *claimed, *panel, claims, recorded, logits, *given)
    if case is not None:
        if any(named):
            raise Refusal(4, Message("cli.error.case.alone"))
        inputs = read_case(case)
    elif reference is None or candidate is None:
        raise Refusal(4, Message("cli.error.two_sides"))
    else:
        others = (tuple(base), tuple(claimed), tuple(panel))
        inputs = Inputs(reference, candidate, *others, claims, recorded, dating, logits)
    with Sinks(json, html, lang, verbose) as sinks:
        report = examined(inputs, only=only, download=download, quiet=quiet)
        sinks.write(report)
    return exit_code(report, fail_on)


def examined(inputs: Inputs, *, only: list[str], download: bool, quiet: bool) -> Report:
    """Open the releases and examine them; what could not be opened is in the report."""
    from apograph.evidence.logits import read_vectors
    from apograph.weigh.case import open_case
    from apograph.weigh.examine import chosen, examine

    chosen(tuple(only))  # a wrong name is told before anything is opened
    check_files(inputs)
    witnesses, published = opened_witnesses(inputs.dating)
    with Progress(quiet) as progress:
        progress.opening()
        case, late = open_case(
            inputs.reference,
            inputs.candidate,
            bases=inputs.base,
            claimed=inputs.claimed,
            panel=inputs.panel,
            claims=inputs.claims,
            download=download,
        )
        if inputs.answers is not None:
            case = replace(case, answers=_recorded(inputs.answers))
        if inputs.logits is not None:
            case = replace(case, logits=read_vectors(inputs.logits))
        case = replace(case, witnesses=witnesses, published=published)
        case.shared["weights.progress"] = progress.reading
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        case.shared["weights.state"] = os.path.join(cache, "apograph")
        report = examine(case, only=only, arguments=sys.argv[1:], progress=progress)
    files = files_text(inputs)
    settings = {**report.settings, **({"inputs": files} if files else {})}
    return replace(report, unexamined=(*late, *report.unexamined), settings=settings)


def _recorded(files: AnswerFiles) -> object:
    from apograph.behaviour.answers import load_answers

    return load_answers(
        Path(files.reference),
        Path(files.candidate),
        [Path(path) for path in files.panel],
        [Path(path) for path in files.noised],
        None if files.key is None else Path(files.key),
    )


def exit_code(report: Report, fail_on: Level | None) -> int:
    """What a report means for the exit code: faults, limits, and findings that reach ``fail_on``."""
    codes = [gap.code for gap in report.unexamined if gap.fault]
    if fail_on is not None:
        levels = list(Level)
        reached = {Bearing(level.value) for level in levels[levels.index(fail_on) :]}
        codes += [FOUND for finding in report.findings if finding.bearing in reached]
    return worst(codes)
