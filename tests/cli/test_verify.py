"""``verify``: a report that still holds, and every way in which it may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apograph.cli import call
from apograph.cli.verify import compare_reports
from apograph.findings import Bearing, Conclusion, Message, Unexamined
from apograph.report.json_format import dumps, read
from tests.cli.conftest import World
from tests.evidence.fakes import FakeRelease


@pytest.fixture
def saved(world: World, tmp_path: Path) -> str:
    path = str(tmp_path / "r.json")
    assert call(["compare", "a", "b", "--base", "base", "--only", "history", "--json", path]) == 0
    return path


def test_what_holds(world: World, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert call(["verify", saved]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "The report fits its schema and its own hash.",
        "Everything holds: the digests, 1 finding and the conclusion.",
    ]


def test_another_release(world: World, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    world.releases["b"] = FakeRelease({"README.md": "changed"}, ref="b")
    assert call(["verify", saved]) == 1
    assert "differs: the digest of the candidate (b)" in capsys.readouterr().out


def test_another_place(world: World, saved: str) -> None:
    world.releases["elsewhere"] = world.releases.pop("b")
    assert call(["verify", saved]) == 4
    assert call(["verify", saved, "--candidate", "elsewhere"]) == 0
    assert world.asked["candidate"] == "elsewhere"
    assert world.asked["bases"] == ("base",)


def test_another_finding(world: World, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    world.bearing = Bearing.CONTEXT
    assert call(["verify", saved]) == 1
    assert "differs: history.timeline came out otherwise" in capsys.readouterr().out


def test_every_difference_is_named(world: World, saved: str) -> None:
    then = read(Path(saved))
    other = replace(then.findings[0], id="files.equal")
    now = replace(
        then,
        findings=(other,),
        releases=then.releases[:2],
        conclusion=Conclusion("independent", Message("cli.help")),
    )
    assert compare_reports(then, then) == []
    assert compare_reports(then, now) == [
        "differs: 3 releases then, 2 now",
        "differs: history.timeline was not found again",
        "differs: files.equal was not in the report",
        "differs: the conclusion",
    ]


def test_a_gap_is_told_by_the_exit_code(world: World, saved: str) -> None:
    world.gaps = [Unexamined("history", Message("cli.error.memory"), fault=True)]
    assert call(["verify", saved]) == 2


def test_a_changed_report(world: World, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(saved).write_bytes(Path(saved).read_bytes().replace(b"supporting", b"distinctive", 1))
    assert call(["verify", saved]) == 2
    assert "does not fit its own hash" in capsys.readouterr().err


def test_a_repository_that_moved_on_is_opened_at_its_revision(
    world: World, saved: str, tmp_path: Path
) -> None:
    old = FakeRelease({"README.md": "old"}, ref="b", revision="c0ffee")
    world.releases["b"] = old
    path = str(tmp_path / "s.json")
    assert call(["compare", "a", "b", "--json", path]) == 0
    world.releases["b"] = FakeRelease({"README.md": "new"}, ref="b", revision="decade")
    world.releases["b@c0ffee"] = old
    assert call(["verify", path]) == 0
    assert world.asked["candidate"] == "b@c0ffee"


def test_the_files_that_were_given_are_read_again(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = tmp_path / "claims.toml"
    claims.write_text('claim = [{property = "num_layers", value = 3}]')
    path = str(tmp_path / "s.json")
    assert call(["compare", "a", "b", "--claims", str(claims), "--only", "history", "--json", path]) == 0
    assert call(["verify", path]) == 0
    assert world.asked["claims"] == str(claims)
    moved = claims.rename(tmp_path / "moved.toml")
    assert call(["verify", path, "--claims", str(moved)]) == 0
    assert world.asked["claims"] == str(moved)


def test_a_report_without_a_side_is_refused(world: World, saved: str, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    then = read(Path(saved))
    path.write_bytes(dumps(replace(then, releases=then.releases[:1])))
    assert call(["verify", str(path)]) == 2
