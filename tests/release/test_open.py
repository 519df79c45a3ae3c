"""From what a user names to a release, and back to a clear refusal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from apograph.findings import Refusal
from apograph.lab.founding.build import write_repository
from apograph.lab.founding.stories import DAY, START, Step
from apograph.release import open_release
from apograph.release.opened import Opened
from apograph.release.types import Content, Release
from tests.release.repos import FILE, Repo, pointer
from tests.release.test_checkpoint import gguf, safetensors, saved
from tests.release.test_parts import write


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def refusal(ref: object, **options: Any) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        open_release(str(ref), **options)
    return refused.value.code, refused.value.message.key


def faults(release: Release) -> list[tuple[str, str, int]]:
    return [(f.path, f.reason.key, f.code) for f in release.faults if f.fault]


def test_a_folder(tmp_path: Path) -> None:
    write(tmp_path, {"config.json": {"model_type": "m"}, "README.md": b"hi", "m.py": b"x = 1\n"})
    release = open_release(str(tmp_path))
    assert (release.ref, release.kind, release.revision) == (str(tmp_path), "folder", None)
    assert release.config == {"model_type": "m"}
    assert release.tensors is None
    assert release.tokenizer is None
    assert release.history is None
    assert release.later is None
    assert release.card is not None
    assert release.card.text == "hi"
    assert release.read("m.py") == b"x = 1\n"
    assert release.read("m.py", 3) is None
    assert faults(release) == [("m.py", "release.large", 5)]
    assert release.sha256("m.py") == release.files[2].sha256
    assert release.sha256("nothing") is None
    with pytest.raises(Refusal):
        release.at("main")


def test_the_digest_tells_contents_apart(tmp_path: Path) -> None:
    for name, text in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        write(tmp_path / name, {"x.py": text})
    a, b, c = (open_release(str(tmp_path / name)).digest for name in "abc")
    assert a == b != c


def test_a_bare_repository_at_any_revision(repo: Repo) -> None:
    first = repo.commit({"x.py": b"1"}, time=10)
    second = repo.commit({"x.py": b"2"}, first, time=20)
    release = open_release(str(repo.path))
    assert (release.kind, release.revision, release.revision_time) == ("git", second, 20)
    assert release.history is not None
    assert release.later is None
    old = open_release(f"{repo.path}@{first[:8]}")
    assert (old.revision, old.read("x.py")) == (first, b"1")
    again = release.at(first)
    assert (again.ref, again.digest) == (f"{repo.path}@{first}", old.digest)
    assert old.at("main").ref == f"{repo.path}@main"
    assert release.blob(old.files[0].git_oid or "") == b"1"


def test_no_later_than_a_date(repo: Repo) -> None:
    first = repo.commit({"x.py": b"1"}, time=10)
    second = repo.commit({"x.py": b"2"}, first, time=20)
    release = open_release(str(repo.path), not_after=15)
    assert release.revision == first
    assert release.later is not None
    assert (release.later.revision, release.later.read("x.py")) == (second, b"2")
    assert open_release(str(repo.path), not_after=20).later is None
    assert open_release(f"{repo.path}@main", not_after=15).revision == second
    assert refusal(repo.path, not_after=5) == (4, "release.git.none_so_old")


def test_a_release_without_dates_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"x.py": b"1"})
    release = open_release(str(tmp_path), not_after=5)
    assert [(f.reason.key, f.fault) for f in release.faults] == [("release.undated", False)]


def work_tree(repo: Repo, tmp_path: Path) -> Path:
    """A working tree of ``repo`` with a.py as committed."""
    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copytree(repo.path, tree / ".git")
    (tree / "a.py").write_bytes(b"1")
    return tree


def test_a_working_tree_is_its_files_with_the_history(repo: Repo, tmp_path: Path) -> None:
    commit = repo.commit({"a.py": b"1"}, time=10)
    tree = work_tree(repo, tmp_path)
    release = open_release(str(tree))
    assert (release.kind, release.revision, release.revision_time) == ("git", commit, 10)
    assert [f.path for f in release.files] == ["a.py"]
    assert release.history is not None
    assert release.faults == ()
    (tree / "new.py").write_bytes(b"")
    extra = open_release(str(tree))
    assert (extra.revision, [f.reason.params for f in extra.faults]) == (commit, [{"n": 1}])
    (tree / "a.py").write_bytes(b"2")
    changed = open_release(str(tree))
    assert changed.revision is None
    assert changed.read("a.py") == b"2"
    assert [(f.reason.params, f.fault) for f in changed.faults] == [({"n": 2}, False)]
    assert open_release(f"{tree}@main").read("a.py") == b"1"
    assert changed.at("HEAD").read("a.py") == b"1"


def test_a_large_file_in_place_of_its_pointer_is_unchanged(repo: Repo, tmp_path: Path) -> None:
    import hashlib

    data = safetensors(a=[1])
    sha = hashlib.sha256(data).hexdigest()
    tree = repo.entries(
        (FILE, b"a.py", repo.blob(b"1")), (FILE, b"m.safetensors", repo.blob(pointer(sha, len(data))))
    )
    commit = repo.commit(tree, time=1)
    folder = work_tree(repo, tmp_path)
    (folder / "m.safetensors").write_bytes(data)
    release = open_release(str(folder))
    assert (release.revision, release.faults) == (commit, ())
    assert release.tensors is not None
    assert release.tensors.source == "headers"


def test_files_are_examined_where_the_repository_is_refused(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a.py": b"1"}, time=10)
    tree = work_tree(repo, tmp_path)
    (tree / ".git/objects/info/alternates").write_text("/elsewhere\n")
    release = open_release(str(tree))
    assert release.read("a.py") == b"1"
    assert release.history is None
    assert [(key, code) for _, key, code in faults(release)] == [("release.git.elsewhere", 2)]
    assert refusal(f"{tree}@main") == (2, "release.git.elsewhere")


def test_a_repository_inside_a_release_is_plain_files(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a.py": b"1"}, time=10)
    (tmp_path / "x.py").write_text("")
    release = open_release(str(tmp_path))
    assert release.history is None
    assert "repo/HEAD" in [f.path for f in release.files]


@pytest.mark.parametrize(("data", "name"), [(safetensors(a=[2]), "a"), (gguf(b"t"), "t"), (saved("z"), "z")])
def test_a_single_file_by_its_content(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / "weights").write_bytes(data)
    (tmp_path / "beside.py").write_bytes(b"")
    release = open_release(str(tmp_path / "weights"))
    assert (release.kind, [f.path for f in release.files]) == ("file", ["weights"])
    assert release.tensors is not None
    assert [entry.name for entry in release.tensors.entries] == [name]


def test_a_single_pytorch_file_that_names_a_function(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"\x80\x02" + b"cos\nsystem\nX\x02\x00\x00\x00idR.")
    release = open_release(str(tmp_path / "m.bin"))
    assert (release.kind, release.foreign) == ("file", {"m.bin": ("os.system",)})
    assert release.tensors is None
    assert ("m.bin", "readers.torch.foreign", 2) in faults(release)


def test_a_broken_single_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(safetensors(a=[9])[:-1])
    release = open_release(str(tmp_path / "m.safetensors"))
    assert release.tensors is None
    assert faults(release) == [("m.safetensors", "readers.tensors.outside", 2)]


def test_refusals_of_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "pictures", {"a.jpg": b"\xff\xd8", "notes.txt": b"x"})
    (tmp_path / "file.bin").write_bytes(b"nothing known")
    (tmp_path / "other.zip").write_bytes(b"PK\x05\x06" + b"\0" * 18)
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "absent") == (4, "release.no_path")
    assert refusal("no/such model") == (4, "release.no_path")
    assert refusal(tmp_path / "empty") == (3, "release.nothing")
    assert refusal(tmp_path / "pictures") == (3, "release.nothing")
    assert refusal(tmp_path / "file.bin") == (3, "release.nothing")
    assert refusal(f"{tmp_path / 'empty'}@main") == (4, "release.no_history")
    assert refusal(tmp_path / "fifo") == (2, "release.folder.special")


def test_a_path_may_hold_an_at_sign(tmp_path: Path) -> None:
    write(tmp_path / "m@v1", {"x.py": b"1"})
    assert open_release(str(tmp_path / "m@v1")).kind == "folder"


def test_absent_contents_are_no_faults(repo: Repo) -> None:
    missing = repo.blob(b"{}", store=False)
    repo.commit(repo.entries((FILE, b"tokenizer.json", missing), (FILE, b"x.py", repo.blob(b""))), time=1)
    release = open_release(str(repo.path))
    assert release.files[0].content is Content.MISSING
    assert release.tokenizer is None
    assert release.read("tokenizer.json") is None
    assert [(f.path, f.fault) for f in release.faults] == [("tokenizer.json", False)]


def test_a_worker_that_dies_leaves_a_fault(tmp_path: Path) -> None:
    write(tmp_path, {"config.json": b"[" * 200_000 + b"]" * 200_000, "x.py": b"1"})
    release = open_release(str(tmp_path))
    assert release.config == {}
    assert [code for *_, code in faults(release)] == [2]
    assert release.read("x.py") == b"1"


def test_a_work_tree_that_is_old_enough_is_read_from_disk(tmp_path: Path) -> None:
    """So that the weights of a base can be compared, which cannot be read from git objects."""
    steps = [Step(day, "m", {"a.py": b"x = %d\n" % day}, "A") for day in (0, 2)]
    write_repository(tmp_path / "r", steps)
    ref = str(tmp_path / "r")
    late = open_release(ref, not_after=START + 3 * DAY)
    assert isinstance(late, Opened)
    assert (late.spec["kind"], late.revision) == ("folder", open_release(ref).revision)
    early = open_release(ref, not_after=START + DAY)
    assert isinstance(early, Opened)
    assert early.spec["kind"] == "git"
    assert early.read("a.py") == b"x = 0\n"
    (tmp_path / "r" / "a.py").write_text("changed")
    changed = open_release(ref, not_after=START + 3 * DAY)
    assert changed.read("a.py") == b"x = 2\n", "what was changed later explains nothing"
