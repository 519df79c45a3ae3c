"""``explain``: one finding, all findings, near misses."""

import pytest

from apograph.cli import call
from apograph.report.words import catalogue


def test_one_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["explain", "history.timeline:2024"]) == 0
    out = capsys.readouterr().out
    assert " ".join(out.split()) == catalogue()["history.timeline.explain"]
    assert max(map(len, out.splitlines())) <= 80


def test_all_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["explain"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["history.timeline", "Timeline"] in lines


def test_an_unknown_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["explain", "history.timelin"]) == 4
    assert "history.timeline" in capsys.readouterr().err
    assert call(["explain", "\x1b"]) == 4
    assert "no finding is called \\x1b" in capsys.readouterr().err
    assert call(["explain", "--lang", "xx"]) == 4
