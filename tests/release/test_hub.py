"""The local cache of the hub, read without network and without the hub's library."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.release import open_release
from apograph.release.hub import cache_folder, find
from apograph.release.types import Content

COMMIT, OTHER = "a1" * 20, "b2" * 20


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cached model: two snapshots, one of them main."""
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache/models--owner--name"
    for commit, text in ((COMMIT, b'{"model_type": "a"}'), (OTHER, b'{"model_type": "b"}')):
        snapshot = folder / "snapshots" / commit
        (snapshot / "sub").mkdir(parents=True)
        (folder / "blobs").mkdir(exist_ok=True)
        blob = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
        (folder / "blobs" / blob).write_bytes(text)
        (snapshot / "config.json").symlink_to(f"../../blobs/{blob}")
        (snapshot / "sub/again.json").symlink_to(f"../../../blobs/{blob}")
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT)
    return folder


@pytest.mark.parametrize(
    ("ref", "commit"),
    [
        ("owner/name", COMMIT),
        ("owner/name@main", COMMIT),
        (f"owner/name@{OTHER}", OTHER),
        ("owner/name@b2b2b2", OTHER),
    ],
)
def test_an_id_opens_the_snapshot_of_its_revision(model: Path, ref: str, commit: str) -> None:
    release = open_release(ref)
    assert (release.kind, release.revision) == ("hub", commit)
    assert release.config == {"model_type": "a" if commit == COMMIT else "b"}
    assert [(f.path, f.content) for f in release.files] == [
        ("config.json", Content.PRESENT),
        ("sub/again.json", Content.PRESENT),
    ]
    assert release.faults == ()


def test_links_that_leave_the_blobs_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    snapshot = model / "snapshots" / COMMIT
    (snapshot / "x.py").symlink_to(tmp_path / "secret")
    (snapshot / "y.py").symlink_to("../../blobs/../refs/main")
    (model / "blobs" / ("c" * 40)).symlink_to(tmp_path / "secret")
    (snapshot / "z.py").symlink_to("../../blobs/" + "c" * 40)
    release = open_release("owner/name")
    refused = [file.path for file in release.files if file.content is Content.REFUSED]
    assert refused == ["x.py", "y.py", "z.py"]
    assert release.read("z.py") is None


def test_a_snapshot_is_opened_by_its_path_too(model: Path) -> None:
    release = open_release(str(model / "snapshots" / COMMIT))
    assert (release.kind, release.config) == ("folder", {"model_type": "a"})


@pytest.mark.parametrize("ref", ["owner/absent", "owner/name@nope", "owner/name@../x", "owner/name@b2"])
def test_what_the_cache_lacks_is_refused(model: Path, ref: str) -> None:
    with pytest.raises(Refusal) as refused:
        open_release(ref)
    assert refused.value.code == 4


def test_a_prefix_of_two_snapshots_is_refused(model: Path) -> None:
    (model / "snapshots" / ("b2b2" + "0" * 36)).mkdir()
    assert find("owner/name@b2b2b2").commit == OTHER
    with pytest.raises(Refusal):
        find("owner/name@b2b2")


def test_a_reference_that_names_no_commit_is_refused(model: Path) -> None:
    (model / "refs/main").write_text("../../../etc")
    with pytest.raises(Refusal) as refused:
        find("owner/name")
    assert refused.value.code == 4


def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == str(tmp_path / "huggingface/hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert cache_folder() == str(tmp_path / "home/hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert cache_folder() == str(tmp_path / "hub")
