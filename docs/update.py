"""Write again what the documents quote: help and output of the commands, and the schema of a report.

    python docs/update.py

In ``commands.md`` the block below ``<!-- help: NAME -->`` is the output of ``apograph NAME --help``, and that
below ``<!-- output: apograph ... -->`` the output of the command in a folder in which ``apograph demo`` ran,
both at 80 columns and made at a fixed time. ``<!-- output 40: ... -->`` quotes the first 40 lines.
``tests/test_docs.py`` fails while a document and the program differ.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from apograph.report.schema import schema

DOCS = Path(__file__).parent
_HELP = re.compile(r"<!-- help: ?(?P<name>[\w ]*?) ?-->\n```text\n.*?```", re.DOTALL)
_OUTPUT = re.compile(r"<!-- output ?(?P<lines>\d*): apograph (?P<call>.*?) -->\n```text\n.*?```", re.DOTALL)
_ENVIRONMENT = {**os.environ, "COLUMNS": "80", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1717200000"}


def output(words: list[str], folder: str) -> str:
    """What ``apograph`` with these words prints on standard output, run in a folder."""
    command = [sys.executable, "-c", "from apograph.cli import main; main()", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT, cwd=folder)
    return done.stdout


def helps(text: str) -> str:
    """The document with the help of today."""

    def block(found: re.Match[str]) -> str:
        words = [*found["name"].split(), "--help"]
        shown = output(words, str(DOCS))
        mark = f"<!-- help: {found['name']}".rstrip()
        return f"{mark} -->\n```text\n$ apograph {' '.join(words)}\n{shown}```"

    return _HELP.sub(block, text)


def outputs(text: str) -> str:
    """The document with the output of today; this runs the demo and takes a while."""
    with tempfile.TemporaryDirectory() as folder:
        output(["demo", "--quiet"], folder)

        def block(found: re.Match[str]) -> str:
            shown = output(shlex.split(found["call"]), folder).splitlines()
            count = int(found["lines"] or len(shown))
            quoted = "\n".join([*shown[:count], *(["[...]"] if len(shown) > count else [])])
            head = f"<!-- output {found['lines']}".rstrip()
            return f"{head}: apograph {found['call']} -->\n```text\n$ apograph {found['call']}\n{quoted}\n```"

        return _OUTPUT.sub(block, text)


def schema_text() -> str:
    """``report.schema.json``."""
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    page = DOCS / "commands.md"
    page.write_text(outputs(helps(page.read_text("utf-8"))), "utf-8")
    (DOCS / "report.schema.json").write_text(schema_text(), "utf-8")
