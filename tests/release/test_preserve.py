"""What was preserved answers as the release did."""

from __future__ import annotations

import os
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apograph.findings import Refusal
from apograph.release import open_release, preserve
from apograph.release.opened import Opened
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import open_store
from apograph.release.types import Content, Release
from tests.release.repos import FILE, TREE, Repo, pointer
from tests.release.test_checkpoint import gguf, index, safetensors
from tests.release.test_parts import write

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PARTS = ("config", "configs", "tokenizer", "tensors", "card", "history", "digest", "revision_time", "faults")


def kept(ref: object, out: Path, **options: Any) -> tuple[Release, Release, preserve.Preserved]:
    """A release, its archive opened, and what preserving said."""
    release = open_release(str(ref))
    assert isinstance(release, Opened)
    said = preserve.preserve(release, str(out), now=NOW, **options)
    return open_release(str(ref)), open_release(str(out)), said


def same(a: Release, b: Release) -> None:
    for part in PARTS:
        assert getattr(a, part) == getattr(b, part), part


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Two commits and a side branch; texts, a binary, a pointer, a missing blob, an index."""
    made = Repo(tmp_path / "repo")
    readme = made.blob(b"---\nlicense: mit\n---\nHello")
    tokens = made.blob(b'{"bos_token": "<s>"}')
    listed = made.blob(b'{"metadata": {}, "weight_map": {"a": "m.safetensors"}}')
    rest = made.entries((FILE, b"a.py", made.blob(b"x = 1\n")), (FILE, b"b.pyc", made.blob(b"\0\1")))
    first = made.commit({"old.py": b"gone"}, time=10)
    tree = made.entries(
        (FILE, b"README.md", readme),
        (TREE, b"d", rest),
        (FILE, b"m.safetensors", made.blob(pointer())),
        (FILE, b"model.safetensors.index.json", listed),
        (FILE, b"picture.png", made.blob(b"\x89PNG\0")),
        (FILE, b"tokenizer.json", made.blob(b"{}", store=False)),
        (FILE, b"tokenizer_config.json", tokens),
    )
    second = made.commit(tree, first, time=20)
    made.commit({"side.py": b"s"}, first, time=30, branch="side")
    made.ref("refs/tags/v1", second)
    return made


def test_a_repository(repo: Repo, tmp_path: Path) -> None:
    release, archive, said = kept(repo.path, tmp_path / "kept")
    same(release, archive)
    assert archive.kind == "archive"
    assert (archive.revision, said.captured) == (release.revision, "2026-01-02T03:04:05Z")
    assert (said.commits, said.files, said.left_out) == (3, 8, 0)
    assert archive.read("d/a.py") == b"x = 1\n"
    assert archive.read("d/b.pyc") == b"\0\1"
    contents = {f.path: f.content for f in archive.files}
    assert contents["picture.png"] is Content.MISSING
    assert contents["tokenizer.json"] is Content.MISSING
    assert contents["m.safetensors"] is Content.LFS
    for version in release.history.versions if release.history else ():
        if version.path != "picture.png":
            assert archive.blob(version.git_oid) == release.blob(version.git_oid)


@pytest.mark.parametrize("revision", ["v1", "side", "main"])
def test_every_revision_of_it(repo: Repo, tmp_path: Path, revision: str) -> None:
    _, archive, _ = kept(repo.path, tmp_path / "kept")
    then = open_release(f"{repo.path}@{revision}")
    same(then, open_release(f"{tmp_path / 'kept'}@{revision}"))
    assert archive.at(revision).digest == then.digest
    assert open_release(f"{tmp_path / 'kept'}@{then.revision}").revision == then.revision


def test_its_dates(repo: Repo, tmp_path: Path) -> None:
    kept(repo.path, tmp_path / "kept")
    archive, release = (open_release(str(p), not_after=25) for p in (tmp_path / "kept", repo.path))
    same(release, archive)
    assert archive.later is not None
    assert release.later is not None
    assert archive.later.digest == release.later.digest
    for ref, options, key in (
        ("kept", {"not_after": 5}, "release.git.none_so_old"),
        ("kept@nope", {}, "release.git.no_revision"),
    ):
        with pytest.raises(Refusal) as refused:
            open_release(str(tmp_path / ref), **options)
        assert (refused.value.code, refused.value.message.key) == (4, key)


def test_a_folder_with_weights_by_their_headers(tmp_path: Path) -> None:
    spec = write(
        tmp_path / "model",
        {
            "config.json": {"model_type": "m"},
            "model.safetensors.index.json": index(a="1.safetensors", b="2.safetensors"),
            "1.safetensors": safetensors(a=[100]),
            "2.safetensors": safetensors(b=[2, 2]),
        },
    )
    release, archive, said = kept(spec["path"], tmp_path / "kept")
    same(release, archive)
    assert said.heads == 2
    assert archive.tensors is not None
    assert archive.tensors.source == "headers"
    assert archive.read("1.safetensors", 1 << 20) is None
    assert archive.sha256("1.safetensors") == release.sha256("1.safetensors")
    with pytest.raises(Refusal):
        archive.at("main")
    with pytest.raises(Refusal):
        open_release(f"{tmp_path / 'kept'}@main")


def test_weights_are_kept_when_asked(tmp_path: Path) -> None:
    data = safetensors(a=[1000])
    write(tmp_path / "model", {"m.safetensors": data, "g.gguf": gguf(b"t"), "x.py": b""})
    release, archive, said = kept(tmp_path / "model", tmp_path / "kept", weights=True)
    same(release, archive)
    assert said.weights == 2
    assert archive.read("m.safetensors") == data
    assert release.files == archive.files


def test_an_altered_weight_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model", {"m.safetensors": safetensors(a=[1000])})
    kept(tmp_path / "model", tmp_path / "kept", weights=True)
    with zipfile.ZipFile(tmp_path / "kept") as archive:
        place = archive.getinfo("weights/000000").header_offset + 1000
    data = bytearray((tmp_path / "kept").read_bytes())
    data[place] ^= 1
    (tmp_path / "kept").write_bytes(data)
    release = open_release(str(tmp_path / "kept"))
    assert release.read("m.safetensors") is None
    assert [f.code for f in release.faults if f.fault] == [2]
    with pytest.raises(Refusal) as caught:
        open_store(open_release(str(tmp_path / "kept")))
    assert caught.value.code == 2


def test_large_files_keep_their_digest(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/x.py").write_bytes(b"")
    with open(tmp_path / "model/m.bin", "wb") as file:
        for n in range(66):
            file.write(bytes([n]) * (1 << 20))
    release, archive, _ = kept(tmp_path / "model", tmp_path / "kept")
    assert release.files[0].sha256 is None
    same(release, archive)
    assert archive.sha256("m.bin") == release.sha256("m.bin") is not None


def test_addresses_are_withheld_unless_asked_for(repo: Repo, tmp_path: Path) -> None:
    kept(repo.path, tmp_path / "without")
    kept(repo.path, tmp_path / "with", with_mail=True)
    for name, expected in (("without", False), ("with", True)):
        with zipfile.ZipFile(tmp_path / name) as archive:
            text = b"".join(archive.read(member) for member in archive.namelist())
        assert (b"author@example.org" in text) is expected
    same(open_release(str(tmp_path / "without")), open_release(str(tmp_path / "with")))


def test_an_archive_of_an_archive_is_the_same(repo: Repo, tmp_path: Path) -> None:
    kept(repo.path, tmp_path / "1", with_mail=True)
    kept(tmp_path / "1", tmp_path / "2", with_mail=True)
    same(open_release(str(repo.path)), open_release(str(tmp_path / "2")))
    with zipfile.ZipFile(tmp_path / "2") as archive:
        assert b"author@example.org" in archive.read("mail.json")


def test_the_same_release_gives_the_same_archive(repo: Repo, tmp_path: Path) -> None:
    kept(repo.path, tmp_path / "1")
    kept(repo.path, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_texts_beyond_the_bound_are_counted(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preserve, "MAX_TOGETHER", 100)
    _, archive, said = kept(repo.path, tmp_path / "kept")
    assert said.left_out > 0
    assert archive.digest == open_release(str(repo.path)).digest


def test_an_interrupted_run_leaves_nothing(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(preserve, "to_bytes", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kept(repo.path, tmp_path / "out/kept")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_whose_tables_do_not_fit_is_refused(tmp_path: Path) -> None:
    from tests.release.test_container import zipped

    for members in ([], [("release.json", b"{}"), ("history.json", b"{}"), ("blobs.json", b"{}")]):
        (tmp_path / "a").write_bytes(zipped(members))
        with pytest.raises(Refusal) as refused:
            open_release(str(tmp_path / "a"))
        assert (refused.value.code, refused.value.message.key) == (2, "release.archive.tables")


def test_kept_weights_are_read_where_they_lie_in_the_archive(tmp_path: Path) -> None:
    data = bytearray(safetensors(a=[100], b=[2, 3]))
    data[-424:] = os.urandom(424)
    write(tmp_path / "model", {"config.json": {}, "model.safetensors": bytes(data)})
    release, archive, _ = kept(tmp_path / "model", tmp_path / "kept", weights=True)
    with closing(open_store(release)) as first, closing(open_store(archive)) as second:
        assert list(first.infos) == list(second.infos)
        for name, info in first.infos.items():
            n = element_count(info.shape or ()) or 0
            assert first.block(name, 0, n).tobytes() == second.block(name, 0, n).tobytes()
        second.check()
    _, bare, _ = kept(tmp_path / "model", tmp_path / "bare")
    with pytest.raises(Refusal) as caught:
        open_store(bare)
    assert caught.value.code == 3
