"""Files are written whole or not at all, and an impossible place is refused before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apograph.cli.output import Output, distinct
from apograph.findings import Refusal


def test_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_bytes(b"old")
    with Output(str(target)) as output:
        assert target.read_bytes() == b"old"
        output.write(b"new")
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["report.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), Output(str(target)):
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.parametrize("place", ["missing/report.json", ".", "file/report.json"])
def test_an_impossible_place_is_refused_at_once(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refusal) as refused, Output(str(tmp_path / place)):
        pytest.fail("the work began")
    assert refused.value.code == 4


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(b"old")
    (tmp_path / "link.json").symlink_to("real.json")
    with Output(str(tmp_path / "link.json")) as output:
        output.write(b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"new"


def test_a_device_is_not_replaced() -> None:
    with Output("/dev/null") as output:
        output.write(b"x")
    assert not Path("/dev/null").is_file()


def test_a_full_device_is_one_refusal() -> None:
    with pytest.raises(Refusal) as refused, Output("/dev/full") as output:
        output.write(b"x")
    assert refused.value.code == 5


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with Output("-") as output:
        output.write(b"{}\n")
    assert capfdbinary.readouterr().out == b"{}\n"


def test_two_outputs_must_differ(tmp_path: Path) -> None:
    distinct([None, None, str(tmp_path / "a"), str(tmp_path / "b"), "-"])
    with pytest.raises(Refusal) as refused:
        distinct([str(tmp_path / "a"), str(tmp_path / "." / "a")])
    assert refused.value.code == 4
