"""Imports point one way: release, align, evidence, weigh, report, cli; and the command line starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "apograph"
PATH = ("release", "align", "evidence", "weigh", "report", "cli")
OPEN = {"findings", "plain", "__version__"}
"""What every room may import."""
APART = ("behaviour", "minicpmv")
"""Rooms that only the command line (and the lab) enters; they may use all of the path before it."""
HEAVY = ("torch", "transformers", "numba", "scipy", "pygit2", "jinja2", "numpy", "gguf")


def allowed(room: str) -> set[str]:
    """The rooms that a module of ``room`` may import."""
    if room in ("lab", "cli"):
        return {*PATH, *APART, *OPEN, "lab"}
    if room in APART:
        return {room, *PATH[:5], *OPEN}
    return {*PATH[: PATH.index(room) + 1], *OPEN}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and first name below ``apograph`` of everything of ours that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "apograph" and len(parts) > 1:
                yield node.lineno, parts[1]


def rooms() -> list[str]:
    return sorted(folder.name for folder in SRC.iterdir() if (folder / "__init__.py").exists())


@pytest.mark.parametrize("room", rooms())
def test_imports_point_to_the_left(room: str) -> None:
    wrong = [
        f"{path.relative_to(SRC)}:{line} imports {name}"
        for path in sorted((SRC / room).rglob("*.py"))
        for line, name in imported(path)
        if name not in allowed(room)
    ]
    assert wrong == []


def test_the_result_types_import_nothing_of_ours() -> None:
    assert list(imported(SRC / "findings.py")) == []
    assert {name for _, name in imported(SRC / "plain.py")} <= {"findings"}


def test_the_command_line_starts_without_heavy_imports() -> None:
    script = (
        "import sys; from apograph import cli; from importlib import import_module\n"
        "[import_module(f'apograph.cli.{name}') for name in cli.COMMANDS]\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
