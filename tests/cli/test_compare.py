"""``compare``: what it is given, where it writes, how it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apograph.cli import call
from apograph.findings import Bearing, Message, Unexamined
from apograph.report.json_format import loads
from apograph.report.words import say
from apograph.weigh.examine import all_examiners
from tests.cli.conftest import World


def gap(code: int, fault: bool = True) -> Unexamined:
    return Unexamined("history", Message("cli.error.memory"), "candidate", "x.py", fault, code)


NAMED = (
    ["--claims", "gone"],
    ["--answers", "gone", "a"],
    ["--answers", "a", "a", "--key", "gone"],
    ["--answers", "a", "a", "--panel-answers", "gone"],
    ["--logits", "gone"],
)


@pytest.mark.parametrize("options", NAMED, ids=" ".join)
def test_a_named_file_that_is_not_there(
    options: list[str],
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    assert call(["compare", "a", "b", *options]) == 4
    assert capsys.readouterr().err == "apograph: gone: cannot be opened (No such file or directory)\n"
    assert not world.asked, "told before a release is opened"


def test_the_report_is_on_standard_output(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["compare", "a", "b"]) == 0
    out, err = capsys.readouterr()
    assert "supporting" in out
    assert err == ""
    assert world.asked["reference"] == "a"
    assert world.asked["download"] is False


def test_files_are_written_and_equal_what_report_gives(world: World, tmp_path: Path) -> None:
    json, html = tmp_path / "r.json", tmp_path / "r.html"
    assert call(["compare", "a", "b", "--base", "base", "--json", str(json), "--html", str(html)]) == 0
    again, page = tmp_path / "s.json", tmp_path / "s.html"
    assert call(["report", str(json), "--json", str(again), "--html", str(page)]) == 0
    assert again.read_bytes() == json.read_bytes()
    assert page.read_bytes() == html.read_bytes()
    assert [r.role for r in loads(json.read_bytes()).releases] == ["reference", "candidate", "base"]


def test_json_on_standard_output_stands_alone(
    world: World, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert call(["compare", "a", "b", "--json", "-"]) == 0
    assert loads(capfdbinary.readouterr().out).findings[0].id == "history.timeline"


@pytest.mark.parametrize(
    ("bearing", "level", "code"),
    [
        (Bearing.DISTINCTIVE, "distinctive", 1),
        (Bearing.DISTINCTIVE, "supporting", 1),
        (Bearing.SUPPORTING, "distinctive", 0),
        (Bearing.SUPPORTING, "context", 1),
        (Bearing.CONTEXT, "supporting", 0),
        (Bearing.AGAINST, "context", 0),
    ],
)
def test_fail_on(world: World, bearing: Bearing, level: str, code: int) -> None:
    world.bearing = bearing
    assert call(["compare", "a", "b", "--fail-on", level]) == code


@pytest.mark.parametrize(
    ("gaps", "code"),
    [
        ([], 1),
        ([gap(2, fault=False)], 1),
        ([gap(2)], 2),
        ([gap(2), gap(5)], 5),
    ],
)
def test_exit_codes_take_precedence(world: World, gaps: list[Unexamined], code: int) -> None:
    world.gaps = gaps
    assert call(["compare", "a", "b", "--fail-on", "context"]) == code


def test_what_came_too_late_is_in_the_report(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.late = (Unexamined("release", Message("examine.base_too_late", {"ref": "base"}), "base", "base"),)
    assert call(["compare", "a", "b"]) == 0
    assert "has no revision as old as" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["compare", "a"], "a reference and a candidate are needed"),
        (["compare", "a", "none"], "none: cannot be opened"),
        (["compare", "a", "b", "--lang", "zh"], "no words in the language zh"),
        (["compare", "a", "b", "--lang", "../en"], "no words in the language ../en"),
        (["compare", "a", "b", "--only", "nonsense"], "nonsense"),
        (["compare", "a", "b", "--html", "/nonexistent/r.html"], "cannot be written"),
        (["compare", "a", "b", "--json", "r", "--html", "./r"], "same file"),
        (["compare", "a", "b", "--fail-on", "nonsense"], "--fail-on"),
        (["compare", "a", "b", "--case", "c.toml"], "give it alone"),
        (["compare", "--case", "/nonexistent/c.toml"], "cannot be opened"),
    ],
)
def test_wrong_usage_is_told_before_the_work(
    world: World, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    world.wait = lambda: pytest.fail("the work began")
    assert call(argv) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_an_interruption_leaves_nothing(world: World, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.wait = interrupt
    assert call(["compare", "a", "b", "--json", str(tmp_path / "r.json")]) == 130
    assert os.listdir(tmp_path) == []


def test_the_help_names_every_kind_of_evidence() -> None:
    named = say("cli.compare.only").partition("(")[2].partition(")")[0]
    assert sorted(named.split(", ")) == sorted({e.channel for e in all_examiners()})


def test_only_reaches_the_examination(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["compare", "a", "b", "--only", "history"]) == 0


def test_the_case_file_names_all_inputs(world: World, tmp_path: Path) -> None:
    case = tmp_path / "case.toml"
    case.write_text('reference = "a"\ncandidate = "b"\nbase = ["base"]\nclaimed = "claimed"\npanel = []\n')
    assert call(["compare", "--case", str(case)]) == 0
    asked = world.asked
    assert (asked["reference"], asked["candidate"]) == ("a", "b")
    assert (asked["bases"], asked["claimed"], asked["panel"]) == (("base",), ("claimed",), ())
    assert asked["claims"] is None
