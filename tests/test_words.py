"""The catalogue of words: complete, all of it used, and without a word of judgement."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest

from apograph.evidence import all_examiners
from apograph.report.words import catalogue, languages

SRC = Path(__file__).parents[1] / "src" / "apograph"
FORBIDDEN = re.compile(
    r"stolen|steal|theft|plagiar|fraud|\bprov(e|es|ed|en|ing)\b|\bproofs?\b|confirm|guilt", re.I
)
FILLERS = {"Message": "{}", "say": "{}", "refuse": "readers.{}", "Measure": "measure.{}"}
"""Functions whose first argument names an entry of the catalogue, and how."""


class Use(NamedTuple):
    """A place where a sentence is asked for: the key as a pattern, and the parameters if they are literal."""

    where: str
    pattern: str
    params: frozenset[str] | None


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (str(path.relative_to(SRC)), ast.parse(path.read_text("utf-8"))) for path in sorted(SRC.rglob("*.py"))
    )


def pattern(node: ast.expr) -> list[str]:
    """The keys that an expression can be, as regular expressions; none when it is no text at all."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [re.escape(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = (re.escape(v.value) if isinstance(v, ast.Constant) else ".+" for v in node.values)
        return ["".join(map(str, parts))]
    if isinstance(node, ast.IfExp):
        return [*pattern(node.body), *pattern(node.orelse)]
    return []


def uses() -> Iterator[Use]:
    """Every call that names a sentence by a literal or an f-string."""
    for path, tree in trees():
        own = _others(tree)
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) and node.args
            ):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in FILLERS and name not in own:
                prefix = re.escape(FILLERS[name].removesuffix("{}"))
                for key in pattern(node.args[0]):
                    yield Use(f"{path}:{node.lineno}", prefix + key, _params(name, node))


def _others(tree: ast.Module) -> set[str]:
    """Names of ``FILLERS`` that mean something else in this module."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apograph.minicpmv")
        for alias in node.names
    } | {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _params(name: str, call: ast.Call) -> frozenset[str] | None:
    if name == "Message":
        if len(call.args) == 1:
            return frozenset()
        given = call.args[1]
        if not isinstance(given, ast.Dict) or not all(isinstance(key, ast.Constant) for key in given.keys):
            return None
        return frozenset(str(key.value) for key in given.keys if isinstance(key, ast.Constant))
    if name in ("say", "refuse") and all(keyword.arg for keyword in call.keywords):
        return frozenset(str(keyword.arg) for keyword in call.keywords)
    return None


def _prefixed(call: ast.Call) -> list[str]:
    """Patterns of the keys that a call names through a prefix of its function's own."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    prefix = FILLERS.get(name, "{}").removesuffix("{}")
    return [re.escape(prefix) + key for key in pattern(call.args[0])] if prefix and call.args else []


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def matching(key: str) -> list[str]:
    return [entry for entry in catalogue() if re.fullmatch(key, entry)]


@pytest.mark.parametrize("lang", languages())
def test_no_word_of_judgement(lang: str) -> None:
    assert [(key, sentence) for key, sentence in catalogue(lang).items() if FORBIDDEN.search(sentence)] == []


@pytest.mark.parametrize("lang", languages())
def test_every_language_has_the_same_entries_and_gaps(lang: str) -> None:
    assert {key: fields(s) for key, s in catalogue(lang).items()} == {
        key: fields(s) for key, s in catalogue().items()
    }


def test_every_sentence_asked_for_exists() -> None:
    assert sorted(f"{use.where} {use.pattern}" for use in uses() if not matching(use.pattern)) == []


def test_every_sentence_can_be_filled() -> None:
    wrong = [
        f"{use.where} {key}: {sorted(fields(catalogue()[key]) - use.params)} not given"
        for use in uses()
        if use.params is not None
        for key in matching(use.pattern)
        if not fields(catalogue()[key]) <= use.params and ".+" not in use.pattern
    ]
    assert sorted(wrong) == []


def test_every_finding_is_explained() -> None:
    calls = [
        node
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"
    ]
    given = [next((k.value for k in c.keywords if k.arg == "id"), None) or c.args[0] for c in calls]
    # What stands before the first gap, where that is a whole id: the detail follows a colon.
    starts = [str(n.values[0].value) if isinstance(n, ast.JoinedStr) else n.value for n in given
              if isinstance(n, ast.Constant | ast.JoinedStr) and _starts_with_text(n)]  # fmt: skip
    ids = {start.partition(":")[0] for start in map(str, starts) if not start.endswith(".")}
    # The kinds of consistency: the sentences of the channel.
    ids |= {key for key in catalogue() if re.fullmatch(r"consistency\.\w+", key)}
    assert len(ids) > 40
    kinds = ("title", "explain")
    assert [f"{i}.{kind}" for i in sorted(ids) for kind in kinds if f"{i}.{kind}" not in catalogue()] == []


def test_every_channel_has_a_name() -> None:
    assert [e.channel for e in all_examiners() if f"channel.{e.channel}" not in catalogue()] == []


def _starts_with_text(node: ast.expr) -> bool:
    return not isinstance(node, ast.JoinedStr) or isinstance(node.values[0], ast.Constant)


def test_every_entry_is_used() -> None:
    """By a literal or an f-string anywhere in the source or the templates."""
    literals: set[str] = set()
    patterns: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                patterns.update(p for p in pattern(node) if re.match(r"(\w|\\.)+\\\.", p))
            elif isinstance(node, ast.Call):
                patterns.update(_prefixed(node))
    for template in SRC.rglob("*.jinja"):
        for key, rest in re.findall(r'"(\w[\w.]+)"( ~)?', template.read_text("utf-8")):
            (patterns if rest else literals).add(re.escape(key) + ".+" if rest else key)
    dynamic = re.compile("|".join([*patterns, r"(column|unit|measure)\..+", r".+\.(explain|title)"]))
    assert [key for key in catalogue() if key not in literals and not dynamic.fullmatch(key)] == []
