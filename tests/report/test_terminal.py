"""The report on a terminal: narrow, calm, and without a single control character of a release's."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from apograph.findings import Conclusion, Message, Relation
from apograph.report import html
from apograph.report.terminal import one_line, show
from tests.report.sample import report


def shown(width: int = 80, poisoned: bool = False, verbose: bool = False, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=colour,
        no_color=not colour,
    )
    show(report(poisoned), verbose=verbose, console=console)
    return stream.getvalue()


def test_the_answer_stands_first() -> None:
    assert shown().startswith(one_line(report())[:60])
    assert "The reference is the source (a report of schema version 2;" in shown()
    assert "Rests on       Equal files, Functions in common, Dating" in shown()


@pytest.mark.parametrize("relation", ["independent", "undetermined"])
def test_of_two_that_are_not_related_none_came_first(relation: Relation) -> None:
    """On the page neither: a row "Direction: not known" would hint that there is one."""
    apart = replace(report(), conclusion=Conclusion(relation, Message("conclusion.independent")))
    stream = io.StringIO()
    show(apart, console=Console(file=stream, width=80))
    rows = stream.getvalue().count("Direction"), html.render(apart, "en").count(b"<dt>Direction</dt>")
    assert rows == ((0, 0) if relation == "independent" else (1, 1))


def test_what_bases_and_claimed_sources_explain() -> None:
    told = " ".join(shown().split())
    assert "Equal files: of 11 shared, 2 also in a base, 3 in the claimed source, 1 in neither" in told


def test_the_standing_sentence_stands_last() -> None:
    assert shown().splitlines()[-1] == "This report does not address intent, licence or permission."


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, verbose: bool) -> None:
    for poisoned in (False, True):
        assert max(cell_len(line) for line in shown(width, poisoned, verbose).splitlines()) <= width


@pytest.mark.parametrize("verbose", [False, True])
def test_no_control_character_passes(verbose: bool) -> None:
    told = shown(poisoned=True, verbose=verbose)
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", told
    )
    assert "[link=http://evil.example]" in told


def test_colours_are_ours_only() -> None:
    told = shown(poisoned=True, verbose=True, colour=True)
    assert "\x1b[" in told
    told = re.sub(r"\x1b\[[0-9;]*m", "", told)
    assert [line.rstrip() for line in told.splitlines()] == shown(poisoned=True, verbose=True).splitlines()


def test_verbose_unfolds() -> None:
    assert "get_abs_pos → resize_table" not in shown()
    assert "get_abs_pos → resize_table" in shown(verbose=True)
    assert "Innocent explanations considered:" in shown(verbose=True)


def test_gaps_with_faults_stand_first() -> None:
    lines = shown().splitlines()
    gaps = lines[lines.index("What was not examined") :]
    assert "x.safetensors" in gaps[1]


def test_no_trailing_blanks() -> None:
    assert not re.search(r" $", shown(verbose=True), re.MULTILINE)
