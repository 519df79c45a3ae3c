"""Write again what the documents quote: the help of every command and the schema of a report.

    python docs/update.py

In ``commands.md`` the block below ``<!-- help: NAME -->`` is the output of ``apograph NAME --help`` at 80
columns. ``tests/test_docs.py`` fails while a document and the program differ.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from apograph.report.schema import schema

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"<!-- help: ?(?P<name>[\w ]*?) ?-->\n```text\n.*?```", re.DOTALL)


def help_of(name: str) -> str:
    """The help of a command, or of the program itself for the empty name, at 80 columns."""
    script = "from apograph.cli import main; main()"
    words = [sys.executable, "-c", script, *name.split(), "--help"]
    env = {**os.environ, "COLUMNS": "80", "LC_ALL": "C.UTF-8"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout


def commands() -> str:
    """``commands.md`` with the help of today."""

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        call = " ".join(["$ apograph", *name.split(), "--help"])
        return f"<!-- help: {name} -->\n```text\n{call}\n{help_of(name)}```"

    return _BLOCK.sub(block, (DOCS / "commands.md").read_text("utf-8"))


def schema_text() -> str:
    """``report.schema.json``."""
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands(), "utf-8")
    (DOCS / "report.schema.json").write_text(schema_text(), "utf-8")
