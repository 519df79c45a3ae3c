"""Options that several commands share, and the checks that go with them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from apograph.cli.output import Output, distinct
from apograph.findings import Message, Refusal, Report
from apograph.report.words import languages, say

Base = Annotated[list[str], typer.Option("--base", metavar="RELEASE", help=say("cli.option.base"))]
Claimed = Annotated[list[str], typer.Option("--claimed", metavar="RELEASE", help=say("cli.option.claimed"))]
Claims = Annotated[str | None, typer.Option("--claims", metavar="FILE", help=say("cli.option.claims"))]
Answers = Annotated[
    tuple[str, str] | None, typer.Option("--answers", metavar="R C", help=say("cli.option.answers"))
]
PanelAnswers = Annotated[
    list[str], typer.Option("--panel-answers", metavar="FILE", help=say("cli.option.panel_answers"))
]
NoisedAnswers = Annotated[
    list[str], typer.Option("--noised-answers", metavar="FILE", help=say("cli.option.noised_answers"))
]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help=say("cli.option.key"))]
Logits = Annotated[str | None, typer.Option("--logits", metavar="FILE", help=say("cli.option.logits"))]
WitnessFiles = Annotated[list[str], typer.Option("--witness", metavar="FILE", help=say("cli.option.witness"))]
WitnessRoots = Annotated[
    list[str], typer.Option("--witness-roots", metavar="PEM", help=say("cli.option.witness_roots"))
]
Published = Annotated[
    list[str], typer.Option("--published", metavar="SIDE=DATE", help=say("cli.option.published"))
]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help=say("cli.option.json"))]
Html = Annotated[str | None, typer.Option("--html", metavar="FILE", help=say("cli.option.html"))]
Lang = Annotated[str, typer.Option("--lang", metavar="LANG", help=say("cli.option.lang"))]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=say("cli.option.quiet"))]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help=say("cli.option.verbose"))]
Saved = Annotated[str, typer.Argument(metavar="REPORT.json", help=say("cli.option.saved"))]


class Sinks:
    """Where a report goes: files that were named, and the terminal unless standard output holds a file.

    Entering refuses (exit 4) an unknown language, two outputs in one place and an unwritable place.
    """

    def __init__(self, json: str | None, html: str | None, lang: str, verbose: bool) -> None:
        self._json, self._html, self._lang, self._verbose = json, html, lang, verbose
        self._stack = ExitStack()
        self._outputs: dict[str, Output] = {}

    def __enter__(self) -> Sinks:
        if self._lang not in languages():
            raise Refusal(
                4, Message("cli.error.language", {"lang": self._lang, "known": ", ".join(languages())})
            )
        distinct([self._json, self._html])
        with ExitStack() as stack:
            for kind, target in (("json", self._json), ("html", self._html)):
                if target is not None:
                    self._outputs[kind] = stack.enter_context(Output(target))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, report: Report) -> None:
        """Write the files, then show the report."""
        from apograph.report import html, json_format, terminal

        if "json" in self._outputs:
            self._outputs["json"].write(json_format.dumps(report))
        if "html" in self._outputs:
            self._outputs["html"].write(html.render(report, self._lang))
        if "-" not in (self._json, self._html):
            terminal.show(report, verbose=self._verbose, lang=self._lang)
