"""``apograph agree``: recorded answers of two models or more, compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apograph.cli.options import Html, Json, Lang, Sinks, Verbose
from apograph.findings import Conclusion, Finding, Message, Refusal, ReleaseInfo, Report, Strength, Unexamined
from apograph.report.words import say

if TYPE_CHECKING:
    from apograph.behaviour.canonical import Kind
    from apograph.behaviour.sheet import Sheet


class Form(StrEnum):
    """What the answers are (``behaviour.canonical.KINDS``)."""

    choice = "choice"
    text = "text"
    transcript = "transcript"
    action = "action"


def agree(
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWERS", help=say("cli.agree.answers"))],
    panel: Annotated[list[Path], typer.Option("--panel", metavar="FILE", help=say("cli.agree.panel"))] = [],  # noqa: B006
    noised: Annotated[
        list[Path], typer.Option("--noised", metavar="FILE", help=say("cli.agree.noised"))
    ] = [],  # noqa: B006
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help=say("cli.agree.key"))] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help=say("cli.agree.items"))
    ] = None,
    form: Annotated[Form | None, typer.Option("--as", help=say("cli.agree.form"))] = None,
    json: Json = None,
    html: Html = None,
    lang: Lang = "en",
    verbose: Verbose = False,
) -> int:
    """Print the report on the answers and return 0. Raises Refusal 4 for one file, or noised answers beside
    more than two, and as the readers of answers do."""
    if len(answers) < 2 or (len(answers) > 2 and noised):
        raise Refusal(4, Message("answers.error.two_files"))
    with Sinks(json, html, lang, verbose) as sinks:
        found = report(answers, panel, noised, key, form)
        if items is not None:
            from apograph.behaviour.pictures import illustrated, small_pictures

            found = illustrated(found, small_pictures(items))
        sinks.write(found)
    return 0


def report(
    files: Sequence[Path],
    panel: Sequence[Path] = (),
    noised: Sequence[Path] = (),
    key: Path | None = None,
    form: Form | None = None,
) -> Report:
    """The report of a comparison of answer files: all statistics for two, the matrix of pairs for more."""
    from apograph.behaviour.answers import load_answers, prepare
    from apograph.behaviour.find_pairs import pairs
    from apograph.behaviour.join import join

    kind: Kind | None = None if form is None else form.value
    if len(files) == 2:
        loaded = load_answers(files[0], files[1], panel, noised, key, kind)
        sheet, found = loaded.sheet, list(loaded.findings())
    else:
        sheet = join([*files, *panel], key, kind)
        found = list(pairs(prepare(sheet, 0, 1, range(len(files), len(sheet.columns))), len(files)))
    findings = tuple(one for one in found if isinstance(one, Finding))
    gaps = tuple(one for one in found if isinstance(one, Unexamined))
    return _report(sheet, len(files), len(panel), findings, gaps)


def _report(
    sheet: Sheet, named: int, panel: int, findings: tuple[Finding, ...], gaps: tuple[Unexamined, ...]
) -> Report:
    from apograph import __version__
    from apograph.weigh.examine import SCHEMA_VERSION, now

    sides = ("reference", "candidate") if named == 2 else ("model",) * named
    roles = (*sides, *("panel",) * panel, *("noised",) * (len(sheet.columns) - named - panel))
    files = tuple(
        ReleaseInfo(role, column.path, "answers", None, column.sha256, 1, Path(column.path).stat().st_size)
        for role, column in zip(roles, sheet.columns, strict=True)
    )
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=f"apograph {__version__}",
        created=now(),
        arguments=tuple(sys.argv[1:]),
        settings={"kind": sheet.kind, "only": "answers"},
        releases=files,
        findings=findings,
        unexamined=gaps,
        conclusion=_conclusion(findings, named),
    )


def _conclusion(findings: tuple[Finding, ...], named: int) -> Conclusion:
    """Answers alone never name a relation: they say whether the agreement is explained by the panel, and why
    no strength is stated where none is."""
    identical = next((f for f in findings if f.id == "answers.identical"), None)
    word = "pairs" if named > 2 else "nothing" if identical is None else identical.bearing.value
    basis = () if identical is None else (identical.id,)
    strength = Strength() if identical is None else identical.strength
    notes = () if identical is None else identical.limits
    return Conclusion(
        "undetermined", Message(f"answers.conclusion.{word}"), basis, strength=strength, notes=notes
    )
