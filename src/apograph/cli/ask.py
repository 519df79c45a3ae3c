"""``apograph ask``: collect a model's answers to a set of items."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apograph.cli.options import Quiet
from apograph.findings import Message, Refusal
from apograph.report.escape import visible
from apograph.report.words import say

if TYPE_CHECKING:
    from apograph.behaviour.ask import Responder

KEY = "APOGRAPH_API_KEY"
URLS = ("http://", "https://")


def ask(
    model: Annotated[str, typer.Argument(metavar="MODEL-OR-URL", help=say("cli.ask.model"))],
    items: Annotated[Path, typer.Argument(metavar="ITEMS", help=say("cli.ask.items"))],
    out: Annotated[Path, typer.Option("--out", metavar="ANSWERS", help=say("cli.ask.out"))],
    name: Annotated[str | None, typer.Option("--name", help=say("cli.ask.name"))] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help=say("cli.ask.max_tokens"))] = 1024,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=64, help=say("cli.ask.concurrency"))
    ] = 4,
    per_minute: Annotated[
        int, typer.Option("--per-minute", min=0, metavar="N", help=say("cli.ask.per_minute"))
    ] = 0,
    quiet: Quiet = False,
) -> int:
    """Ask what ``out`` does not hold yet. Exit 2 when an item stayed unanswered."""
    from apograph.behaviour.ask import ask as ask_all
    from apograph.behaviour.items import read_items

    listed = read_items(items)
    shown = not quiet and sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if shown:
            print(f"\r\x1b[K{say('answers.ask.progress', done=done, total=total)}", end="", file=sys.stderr)

    try:
        responder = _responder(model, name, max_tokens, per_minute)
        at_once = concurrency if model.startswith(URLS) else 1
        result = ask_all(responder, listed, items.parent, out, at_once, progress)
    except OSError as error:
        raise Refusal(
            4, Message("cli.error.output", {"reason": error.strerror or str(error)}), str(out)
        ) from None
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(
        say("answers.ask.done", answered=result.answered, known=result.known, failed=len(result.failed)),
        file=sys.stderr,
    )
    if result.gave_up is not None:
        print(say("answers.ask.gave_up", reason=visible(result.gave_up, 160)), file=sys.stderr)
    return 2 if result.failed else 0


def _responder(model: str, name: str | None, max_tokens: int, per_minute: int) -> Responder:
    import os

    if model.startswith(URLS):
        from apograph.behaviour.ask_endpoint import Endpoint, Pace

        if name is None:
            raise Refusal(4, Message("answers.error.name"))
        return Endpoint(model, name, os.environ.get(KEY, ""), max_tokens, pace=Pace(per_minute))
    from apograph.behaviour.ask_local import LocalModel

    return LocalModel(Path(model), max_tokens)
