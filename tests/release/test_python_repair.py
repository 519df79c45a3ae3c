"""Repairs keep line numbers and give up as little as they can."""

from __future__ import annotations

import ast

from apograph.release.python_repair import repaired


def first(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The finest repair that parses."""
    for candidate, gaps in repaired(text):
        try:
            ast.parse(candidate)
        except SyntaxError:
            continue
        return candidate, gaps
    raise AssertionError("nothing parses")


def test_an_old_print_becomes_pass_in_its_place() -> None:
    text = "def f(a):\n    if a:\n        print a\n    return a\n"
    candidate, gaps = first(text)
    assert gaps == [(3, 3)]
    assert candidate.split("\n") == ["def f(a):", "    if a:", "        pass", "    return a", ""]


def test_a_broken_method_leaves_the_others() -> None:
    text = (
        "class A:\n    def f(self):\n        return (1 +\n\n    def g(self):\n        return 2\n\n\nx = 5\n"
    )
    candidate, gaps = first(text)
    assert "x = 5" in candidate
    assert candidate.count("\n") == text.count("\n")
    assert gaps


def test_a_sound_source_has_no_repair() -> None:
    assert list(repaired("x = 1\n")) == []
