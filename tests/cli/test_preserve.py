"""The command ``preserve``, from the command line to the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from apograph.cli import call
from apograph.release import open_release
from tests.release.repos import Repo
from tests.release.test_parts import write


@pytest.fixture
def repo(tmp_path: Path) -> str:
    made = Repo(tmp_path / "repo")
    made.commit({"a.py": b"x = 1\n", "README.md": b"hello"}, time=10)
    return str(made.path)


def test_an_archive_is_written_and_named(
    repo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "kept.zip")
    assert call(["preserve", repo, "--out", out]) == 0
    printed, errors = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[0] == out
    assert lines[1] == ("2 texts of all revisions, 1 commit, headers of 0 weight files, 2 files described")
    assert lines[2].startswith("captured 20")
    assert errors == ""
    assert open_release(out).digest == open_release(repo).digest


def test_weights_and_addresses_are_options(
    repo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "kept.zip")
    assert call(["preserve", repo, "--out", out, "--weights", "--with-mail"]) == 0
    assert "0 weight files kept whole" in capsys.readouterr().out


def test_what_could_not_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "m", {"a.py": b"x"})
    (tmp_path / "m/.git").write_text("gitdir: /elsewhere")
    assert call(["preserve", str(tmp_path / "m"), "--out", str(tmp_path / "kept")]) == 2
    assert "1 part of the release could not be read" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["missing/kept", "."])
def test_an_unwritable_place_is_refused_first(
    repo: str, tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["preserve", repo, "--out", str(tmp_path / out)]) == 4
    printed, errors = capsys.readouterr()
    assert printed == ""
    assert len(errors.splitlines()) == 1


def test_a_tampered_archive_is_named(repo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept"
    assert call(["preserve", repo, "--out", str(out)]) == 0
    data = bytearray(out.read_bytes())
    name = f"blobs/{open_release(repo).files[1].git_oid}".encode()
    data[data.index(name) + len(name) + 2] ^= 0xFF
    out.write_bytes(data)
    capsys.readouterr()
    assert call(["inspect", str(out)]) == 2
    errors = capsys.readouterr().err
    assert name.decode() in errors
    assert len(errors.splitlines()) == 1
