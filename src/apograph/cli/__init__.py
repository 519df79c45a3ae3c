"""The commands. One file each; a new command is one file here and one line in ``COMMANDS``.

``apograph.cli.<name>`` holds a function ``<name>`` that typer reads: its signature gives the
arguments, the catalogue gives the help (``cli.<name>.help``), the integer that it returns is the exit code.
Heavy imports belong inside the function, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from apograph import __version__
from apograph.findings import Refusal
from apograph.report.escape import visible
from apograph.report.sentence import sentence
from apograph.report.words import say

COMMANDS: tuple[str, ...] = (
    "compare",
    "report",
    "explain",
    "verify",
    "inspect",
    "preserve",
    "witness",
    "rename",
    "perturb",
    "agree",
    "ask",
    "power",
    "items",
    "run",
    "serve",
    "finetune",
    "demo",
    "lab",
)

EXAMINED, FOUND, INCOMPLETE, UNSUPPORTED, USAGE, LIMIT, DATABASE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
_PRECEDENCE = (INTERRUPTED, DATABASE, LIMIT, USAGE, UNSUPPORTED, INCOMPLETE, FOUND, EXAMINED)
LINE = 300
"""The longest error line, in characters."""


def worst(codes: Iterable[int]) -> int:
    """The exit code that stands when several apply: 130, 6, 5, 4, 3, 2, 1, then 0."""
    return min(codes, key=_PRECEDENCE.index, default=EXAMINED)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script: run one command and exit with its code, never with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(call(sys.argv[1:] if argv is None else argv))


def call(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one line on stderr.

    No function here may bear the name of a command: its module would take the name's place.
    """
    try:
        code = application(argv).main(list(argv) or ["--help"], prog_name="apograph", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer's answer to Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else EXAMINED
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, say("cli.error.interrupted"))
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has gone (typer turns that into SystemExit); the interpreter's last flush
        # must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("APOGRAPH_DEBUG"):
            raise
        return _report(error)


def application(argv: Sequence[str] = ()) -> Any:
    """The command-line parser: with the one command that ``argv`` names, or with all of them."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help=say("cli.help"),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_common)
    for name in argv[:1] if argv and argv[0] in COMMANDS else COMMANDS:
        function = getattr(import_module(f"apograph.cli.{name}"), name)
        if isinstance(function, typer.Typer):  # commands of its own
            app.add_typer(function, name=name, help=say(f"cli.{name}.help"))
        else:
            app.command(name, help=say(f"cli.{name}.help"))(function)
    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"apograph {__version__}")
        raise typer.Exit


def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help=say("cli.version"))
    ] = False,
) -> None:
    pass


def _report(error: Exception) -> int:
    if isinstance(error, Refusal):
        return _fail(error.code, sentence(error.message), error.path, error.offset)
    # The parser's own errors, told by what they offer: typer carries its own copy of click in some versions.
    usage = getattr(error, "format_message", None)
    if usage is not None:
        return _fail(USAGE, say("cli.error.usage", reason=usage().replace("Value error, ", "")))
    if isinstance(error, MemoryError):
        return _fail(LIMIT, say("cli.error.memory"))
    return _fail(INCOMPLETE, say("cli.error.unexpected", kind=type(error).__name__, reason=str(error)))


def _fail(code: int, reason: str, path: str = "", offset: int | None = None) -> int:
    """Print ``apograph: path: reason (byte N)``: one line of at most ``LINE`` characters."""
    start = f"apograph: {visible(path, LINE // 2)}: " if path else "apograph: "
    end = f" ({say('cli.error.byte', n=offset)})" if offset is not None else ""
    print(start + visible(reason, LINE - len(start) - len(end)) + end, file=sys.stderr)
    return code
