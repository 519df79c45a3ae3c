"""A folder is walked without ever leaving it, and only regular files are opened."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.release import folder as module
from apograph.release import source as sources
from apograph.release.folder import FolderSource
from apograph.release.source import read_whole
from apograph.release.types import Content, File
from tests.release.repos import pointer


def keys(source: FolderSource) -> list[tuple[str, str, bool]]:
    return [(f.path, f.reason.key.removeprefix("release."), f.fault) for f in source.listing().faults]


def test_small_files_are_identified_both_ways(tmp_path: Path) -> None:
    (tmp_path / "d/__pycache__").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text("x")
    (tmp_path / "a.py").write_bytes(b"hello\n")
    (tmp_path / "d/__pycache__/b.pyc").write_bytes(b"")
    (tmp_path / "w.safetensors").write_bytes(pointer("ab" * 32, 9))
    source = FolderSource(str(tmp_path))
    assert source.listing().files == (
        File(
            "a.py",
            6,
            Content.PRESENT,
            "ce013625030ba8dba906f756967f9e9ca394464a",  # git hash-object
            hashlib.sha256(b"hello\n").hexdigest(),
        ),
        File(
            "d/__pycache__/b.pyc",
            0,
            Content.PRESENT,
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
            hashlib.sha256(b"").hexdigest(),
        ),
        File(
            "w.safetensors",
            9,
            Content.LFS,
            hashlib.sha1(b"blob %d\0" % len(pointer("ab" * 32, 9)) + pointer("ab" * 32, 9)).hexdigest(),
            "ab" * 32,
        ),
    )
    assert read_whole(source, "a.py", 100) == b"hello\n"
    assert source.blob("ce013625030ba8dba906f756967f9e9ca394464a", 100) == b"hello\n"
    assert read_whole(source, "w.safetensors", 1000) is None
    assert read_whole(source, "../etc/passwd", 1000) is None
    assert source.past().history is None


def test_links_are_listed_and_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x.py").write_text("s")
    for name, target in (
        ("config.json", tmp_path / "secret"),
        ("dir", tmp_path / "folder"),
        ("loop", inside),
        ("mem", Path("/proc/self/mem")),
        ("dangling", tmp_path / "nothing"),
    ):
        (inside / name).symlink_to(target)
    source = FolderSource(str(inside))
    assert [(f.path, f.content) for f in source.listing().files] == [
        (name, Content.REFUSED) for name in ("config.json", "dangling", "dir", "loop", "mem")
    ]
    assert {key for _, key, _ in keys(source)} == {"folder.link"}
    assert source.open("config.json") is None


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        (tmp_path / "ok.py").write_text("x")
        source = FolderSource(str(tmp_path))
    assert keys(source) == [
        ("model.safetensors", "folder.special", True),
        ("s", "folder.special", True),
    ]
    assert [f.content for f in source.listing().files] == [Content.REFUSED, Content.PRESENT, Content.REFUSED]


def test_hard_links_are_noted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.link(tmp_path / "a", tmp_path / "b")
    assert keys(FolderSource(str(tmp_path))) == [
        ("a", "folder.hard_link", False),
        ("b", "folder.hard_link", False),
    ]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    for name in (b"\xff\xfe", b"a\nb\x1b[2J", b"-rf", b"\xe2\x80\xae.py", b"x" * 255):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_text("x")
    source = FolderSource(str(tmp_path))
    assert {os.fsencode(f.path) for f in source.listing().files} == {
        b"\xff\xfe",
        b"a\nb\x1b[2J",
        b"-rf",
        b"\xe2\x80\xae.py",
        b"x" * 255,
    }
    assert read_whole(source, "\udcff\udcfe", 5) == b"x"


def test_deep_folders_stop_at_the_limit(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("deep.py", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    (tmp_path / "top.py").write_text("x")
    source = FolderSource(str(tmp_path))
    assert [f.path for f in source.listing().files] == ["top.py"]
    assert [(f.reason.key, f.code) for f in source.listing().faults] == [("release.folder.deep", 5)]


def test_many_files_stop_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 50)
    for folder in range(4):
        (tmp_path / str(folder)).mkdir()
        for n in range(20):
            (tmp_path / str(folder) / str(n)).write_text("")
    source = FolderSource(str(tmp_path))
    assert len(source.listing().files) <= 50
    assert [(f.reason.key, f.code) for f in source.listing().faults] == [("release.folder.many", 5)]


def test_a_sparse_file_is_neither_hashed_nor_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    os.truncate(tmp_path / "model.safetensors", 2 << 40)
    source = FolderSource(str(tmp_path))
    assert source.listing().files == (File("model.safetensors", 2 << 40),)
    spec = {"kind": "folder", "path": str(tmp_path)}
    for action in (
        lambda: read_whole(source, "model.safetensors", 1 << 20),
        lambda: sources.sha256(spec, "model.safetensors"),
    ):
        with pytest.raises(Refusal) as refused:
            action()
        assert refused.value.code == 5


def test_large_files_are_hashed_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HASHED", 3)
    (tmp_path / "w").write_bytes(b"abcd")
    assert FolderSource(str(tmp_path)).listing().files == (File("w", 4),)
    spec = {"kind": "folder", "path": str(tmp_path)}
    assert sources.sha256(spec, "w") == hashlib.sha256(b"abcd").hexdigest()


def test_hashing_has_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HASHED_TOGETHER", 5)
    for name in "abc":
        (tmp_path / name).write_bytes(b"xx")
    assert [f.sha256 is not None for f in FolderSource(str(tmp_path)).listing().files] == [True, True, False]


@pytest.mark.parametrize("change", [b"longer than it was", b"same!", b""])
def test_a_file_that_changed_is_refused(tmp_path: Path, change: bytes) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    source = FolderSource(str(tmp_path))
    (tmp_path / "a").write_bytes(change)
    with pytest.raises(Refusal) as refused:
        read_whole(source, "a", 100)
    assert (refused.value.code, refused.value.message.key) == (2, "release.changed")


@pytest.mark.parametrize("replaced", ["d", "d/a"])
def test_what_was_replaced_by_a_link_is_not_read(tmp_path: Path, replaced: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_bytes(b"hello")
    source = FolderSource(str(tmp_path))
    os.rename(tmp_path / replaced, tmp_path / "moved")
    (tmp_path / replaced).symlink_to(tmp_path / "moved")
    with pytest.raises(Refusal) as refused:
        source.open("d/a")
    assert (refused.value.code, refused.value.message.key) == (2, "release.unreadable")


def test_an_unreadable_file_is_a_fault_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    (tmp_path / "a").chmod(0)
    if os.access(tmp_path / "a", os.R_OK):
        pytest.skip("this user may read everything")
    source = FolderSource(str(tmp_path))
    assert keys(source) == [("a", "unreadable", True)]
    assert read_whole(source, "b", 10) == b"x"


def test_one_file_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("y")
    assert [f.path for f in FolderSource(str(tmp_path), only="b").listing().files] == ["b"]
