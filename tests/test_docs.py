"""The documents quote the program as it is: run ``python docs/update.py`` after a change."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from apograph.cli import COMMANDS, application
from apograph.evidence import Case, registry
from tests.evidence.fakes import FakeRelease

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def update() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update", DOCS / "update.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_is_documented() -> None:
    text = (DOCS / "commands.md").read_text("utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(COMMANDS)
    assert re.findall(r"<!-- help: ?([\w ]*?) ?-->", text) == ["", *COMMANDS]


def test_the_help_in_the_documents_is_the_help(update: ModuleType) -> None:
    text = (DOCS / "commands.md").read_text("utf-8")
    assert text == update.helps(text)


def test_the_output_in_the_documents_is_the_output(update: ModuleType) -> None:
    text = (DOCS / "commands.md").read_text("utf-8")
    assert text == update.outputs(text)


def test_the_published_schema_is_the_schema(update: ModuleType) -> None:
    assert (DOCS / "report.schema.json").read_text("utf-8") == update.schema_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_has_help(name: str) -> None:
    command = application([name]).commands[name]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_the_example_for_contributors_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS.parent / "CONTRIBUTING.md").read_text("utf-8")
    source, words = re.findall(r"```(?:python|toml)\n(.*?)```", text, re.DOTALL)
    monkeypatch.setattr(registry, "_registered", {})
    example: dict[str, Any] = {}
    exec(source, example)
    sides = FakeRelease({"a.py": "1", "b.py": "1"}), FakeRelease({"b.py": "2", "c.py": "2"})
    (finding,) = example["common_paths"](Case(*sides))
    known = tomllib.loads(words)["paths"]["common"]
    assert finding.message.params == {"n": 1}
    assert {m.key for m in (finding.message, *finding.alternatives)} == {
        f"paths.common.{name}" for name in known.keys() - {"title", "explain"}
    }


def test_every_exhibit_kind_is_documented() -> None:
    from apograph.report.figures import FIGURES

    text = (DOCS / "exhibits.md").read_text("utf-8")
    assert set(re.findall(r"^## `(\w+)`$", text, re.MULTILINE)) == set(FIGURES)
