"""``apograph witness`` and the options of dates: from a folder to a direction, with a real authority."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from apograph.cli import call
from apograph.cli.case import Dating, read_case
from apograph.cli.dating import opened_witnesses
from apograph.findings import Refusal
from tests.release.timestamps import Authority


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"abc")
    (folder / "é.txt").write_text("x")
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_a_manifest_is_the_same_twice_and_can_be_stamped(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    assert call(["witness", str(release), "--out", str(first), "--query", str(tmp_path / "q")]) == 0
    assert "openssl ts -query" in capsys.readouterr().out
    assert call(["witness", str(release), "--out", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
    files = json.loads(first.read_bytes())["files"]
    assert [f["path"] for f in files] == ["config.json", "weights.bin", "é.txt"]
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (files[1]["sha256"], files[1]["size"]) == (abc, 3)
    authority = Authority(tmp_path / "tsa")
    dating = Dating((authority.stamp(first),), (authority.root,), ("candidate=2024-05-28",))
    (witness,), published = opened_witnesses(dating)
    assert abc in witness.digests
    assert published == {"candidate": 1_716_854_400}


@pytest.mark.parametrize(
    "stated", ["candidate", "base=2024-01-01", "candidate=2024-13-01", "candidate=today"]
)
def test_a_statement_must_be_one(stated: str) -> None:
    with pytest.raises(Refusal) as raised:
        opened_witnesses(Dating(published=(stated,)))
    assert raised.value.code == 4
    twice = ("candidate=2024-01-01", "candidate=2024-01-02")
    with pytest.raises(Refusal):
        opened_witnesses(Dating(published=twice))


def test_a_case_file_names_them(tmp_path: Path) -> None:
    (tmp_path / "m.json.tsr").touch()
    case = tmp_path / "case.toml"
    case.write_text(
        'reference = "a"\ncandidate = "b"\nwitness = "m.json.tsr"\nwitness_roots = ["r.pem"]\n'
        "published = { candidate = 2024-05-28 }\n"
    )
    got = read_case(str(case)).dating
    assert got == Dating((str(tmp_path / "m.json.tsr"),), ("r.pem",), ("candidate=2024-05-28",))
