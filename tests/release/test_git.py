"""One revision as a source; the choice of the revision; hostile and partial repositories."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.release import git as module
from apograph.release.git import GitSource, choose
from apograph.release.source import Listing, read_whole
from apograph.release.types import Content, File
from tests.release.repos import FILE, LINK, SUBMODULE, TREE, Repo, pointer


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def listing(repo: Repo, tree: str) -> Listing:
    return GitSource(str(repo.path), repo.commit(tree, time=1)).listing()


def keys(found: Listing) -> list[tuple[str, str, bool, int]]:
    return sorted((f.path, f.reason.key.removeprefix("release.git."), f.fault, f.code) for f in found.faults)


def test_files_folders_pointers_and_absent_contents(repo: Repo) -> None:
    missing = repo.blob(b"gone", store=False)
    weights = repo.blob(pointer("cd" * 32, 7))
    readme = repo.blob(b"hello")
    inner = repo.entries((b"100755", b"run.py", readme))
    tree = repo.entries(
        (FILE, b"README.md", readme),
        (TREE, b"code", inner),
        (FILE, b"model.safetensors", weights),
        (FILE, b"tokenizer.json", missing),
    )
    source = GitSource(str(repo.path), repo.commit(tree, time=1))
    assert source.listing().files == (
        File("README.md", 5, Content.PRESENT, readme),
        File("code/run.py", 5, Content.PRESENT, readme),
        File("model.safetensors", 7, Content.LFS, weights, "cd" * 32),
        File("tokenizer.json", None, Content.MISSING, missing),
    )
    assert source.listing().faults == ()
    assert read_whole(source, "code/run.py", 10) == b"hello"
    assert read_whole(source, "tokenizer.json", 10) is None
    assert read_whole(source, "model.safetensors", 10) is None
    assert source.blob(weights, 1000) == pointer("cd" * 32, 7)
    assert source.blob(missing, 10) is None
    with pytest.raises(Refusal) as refused:
        read_whole(source, "README.md", 4)
    assert refused.value.code == 5


def test_links_submodules_and_unsafe_names_are_set_aside(repo: Repo) -> None:
    blob = repo.blob(b"../../etc/passwd")
    evil = repo.entries((FILE, b"x", blob))
    tree = repo.entries(
        (FILE, b"..", blob),
        (TREE, b".git", evil),
        (FILE, b"/etc/passwd", blob),
        (FILE, b"a", blob),
        (FILE, b"a", blob),
        (LINK, b"link", blob),
        (SUBMODULE, b"sub", "1" * 40),
    )
    found = listing(repo, tree)
    assert [(f.path, f.content) for f in found.files] == [("a", Content.PRESENT), ("link", Content.REFUSED)]
    assert keys(found) == [
        ("..", "name", True, 2),
        (".git", "name", True, 2),
        ("/etc/passwd", "name", True, 2),
        ("a", "name", True, 2),
        ("sub", "submodule", False, 2),
    ]


def test_names_that_are_no_utf8_are_kept(repo: Repo) -> None:
    found = listing(repo, repo.entries((FILE, b"\xff\x1b[2J\n", repo.blob(b"x"))))
    assert [f.path for f in found.files] == ["\udcff\x1b[2J\n"]


def test_an_object_of_the_wrong_kind_is_a_fault_of_its_file(repo: Repo) -> None:
    tree = repo.tree({"x": b"1"})
    found = listing(repo, repo.entries((FILE, b"a", tree), (FILE, b"b", repo.blob(b"ok"))))
    assert [(f.path, f.content) for f in found.files] == [("a", Content.REFUSED), ("b", Content.PRESENT)]
    assert keys(found) == [("a", "kind", True, 2)]


def test_a_missing_tree_is_noted(repo: Repo) -> None:
    found = listing(repo, repo.entries((TREE, b"d", "1" * 40), (FILE, b"x", repo.blob(b"1"))))
    assert [f.path for f in found.files] == ["x"]
    assert keys(found) == [("d/", "no_tree", False, 2)]


def bomb(repo: Repo, leaf: dict[str, bytes]) -> str:
    tree = repo.tree(leaf)
    for _ in range(10):
        tree = repo.entries(*((TREE, b"%d" % n, tree) for n in range(10)))
    return tree


def test_a_bomb_of_files_stops_at_the_limit(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 5000)
    found = listing(repo, bomb(repo, {"f": b"x"}))
    assert len(found.files) <= 5010
    assert [(f.reason.key, f.code) for f in found.faults] == [("release.git.files", 5)]


def test_a_bomb_without_files_is_walked_once(repo: Repo) -> None:
    found = listing(repo, bomb(repo, {}))
    assert found == Listing(())


def test_deep_trees_stop_at_the_limit(repo: Repo) -> None:
    tree = repo.tree({"f": b"x"})
    for _ in range(2000):
        tree = repo.entries((TREE, b"d", tree))
    found = listing(repo, repo.entries((TREE, b"deep", tree), (FILE, b"x", repo.blob(b"1"))))
    assert [f.path for f in found.files] == ["x"]
    assert [(f.reason.key, f.code) for f in found.faults] == [("release.git.files", 5)]


def test_the_revision_is_chosen(repo: Repo) -> None:
    path = str(repo.path)
    a = repo.commit({"x": b"1"}, time=10)
    b = repo.commit({"x": b"2"}, a, time=20)
    side = repo.commit({"x": b"3"}, a, time=30, branch="topic/side")
    repo.ref("refs/tags/v1", repo.write("tag", f"object {a}\ntype commit\ntag v1\n\n".encode()))
    assert choose(path, None, None) == {"id": b, "time": 20, "later": None}
    for name in ("main", "refs/heads/main", "heads/main", "HEAD", b, b[:8], b[:8].upper()):
        assert choose(path, name, None)["id"] == b
    assert choose(path, "topic/side", None)["id"] == side
    assert choose(path, "v1", None)["id"] == a
    assert choose(path, None, 15) == {"id": a, "time": 10, "later": side}
    assert choose(path, "main", 15)["id"] == b
    for revision, not_after in (("nope", None), ("f" * 40, None), ("..", None), (None, 9)):
        with pytest.raises(Refusal) as refused:
            choose(path, revision, not_after)
        assert refused.value.code == 4


def test_without_commits_there_is_nothing(repo: Repo) -> None:
    with pytest.raises(Refusal) as refused:
        choose(str(repo.path), None, None)
    assert (refused.value.code, refused.value.message.key) == (3, "release.git.empty")


def test_a_head_without_branch_falls_back_to_any_reference(repo: Repo) -> None:
    only = repo.commit({"x": b"1"}, time=1, branch="other")
    assert choose(str(repo.path), None, None)["id"] == only


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
    ).stdout.strip()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A work tree whose objects are in a pack of deltas, made by git."""
    folder = tmp_path / "packed"
    folder.mkdir()
    git(folder, "init", "-q")
    for n in range(5):
        (folder / "a.py").write_text("line\n" * 500 + str(n))
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", str(n))
    git(folder, "tag", "-a", "-m", "m", "v1")
    git(folder, "gc", "-q", "--aggressive", "--prune=now")
    return folder


def test_packs_and_packed_references_are_read(packed: Path) -> None:
    head = git(packed, "rev-parse", "HEAD")
    assert not (packed / ".git/refs/heads/main").exists()
    assert choose(str(packed), "v1", None)["id"] == head
    source = GitSource(str(packed), head)
    assert read_whole(source, "a.py", 10_000) == b"line\n" * 500 + b"4"
    past = source.past().history
    assert past is not None
    assert [v.git_oid for v in past.versions][-1] == git(packed, "rev-parse", "HEAD:a.py")
    assert len(past.commits) == 5


def test_a_partial_clone_names_what_it_lacks(packed: Path, tmp_path: Path) -> None:
    git(packed, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--bare", "--filter=blob:none", f"file://{packed}", "partial")
    partial = str(tmp_path / "partial")
    source = GitSource(partial, str(choose(partial, None, None)["id"]))
    oid = git(packed, "rev-parse", "HEAD:a.py")
    assert source.listing() == Listing((File("a.py", None, Content.MISSING, oid),))


@pytest.mark.parametrize("cut", [0, 12, 60])
def test_a_truncated_pack_is_refused(packed: Path, cut: int) -> None:
    head = git(packed, "rev-parse", "HEAD")
    pack = next((packed / ".git/objects/pack").glob("*.pack"))
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:cut])
    with pytest.raises(Refusal):
        GitSource(str(packed), head)


def test_a_blob_bomb_is_refused_unread(repo: Repo) -> None:
    import zlib

    oid = "ab" * 20
    target = repo.path / "objects/ab" / ("ab" * 19)
    target.parent.mkdir()
    target.write_bytes(zlib.compress(b"blob 4000000000\0" + b"x" * 1_000_000))
    source = GitSource(str(repo.path), repo.commit({"x": b"1"}, time=1))
    start = time.process_time()
    with pytest.raises(Refusal) as refused:
        source.blob(oid, 1 << 20)
    assert (refused.value.code, refused.value.message.key) == (5, "release.large")
    assert time.process_time() - start < 5


def test_hostile_configuration_runs_and_includes_nothing(packed: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    script = tmp_path / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    script.chmod(0o755)
    (packed / ".git/config").write_text(
        f"[core]\n fsmonitor = {script}\n hooksPath = {tmp_path}\n sshCommand = {script}\n"
        f'[filter "x"]\n process = {script}\n smudge = {script}\n clean = {script}\n'
        f'[diff "x"]\n textconv = {script}\n[include]\n path = /etc/hostname\n'
        f'[extensions]\n partialClone = evil\n[remote "evil"]\n url = ext::{script}\n promisor = true\n'
    )
    (packed / ".gitattributes").write_text("* filter=x diff=x\n")
    (packed / ".git/hooks/post-index-change").parent.mkdir(exist_ok=True)
    (packed / ".git/hooks/post-index-change").write_text(script.read_text())
    before = {p: p.stat().st_mtime_ns for p in packed.rglob("*")}
    source = GitSource(str(packed), str(choose(str(packed), "main", None)["id"]))
    assert source.past().history is not None
    assert read_whole(source, "a.py", 10_000) is not None
    assert source.blob("1" * 40, 10) is None
    assert not canary.exists()
    assert {p: p.stat().st_mtime_ns for p in packed.rglob("*")} == before


def test_replaced_and_grafted_commits_are_read_as_they_are(repo: Repo) -> None:
    a = repo.commit({"x": b"1"}, time=10)
    b = repo.commit({"x": b"2"}, a, time=20)
    evil = repo.commit({"x": b"3"}, time=5, branch=None)
    repo.ref(f"refs/replace/{b}", evil)
    (repo.path / "info").mkdir()
    (repo.path / "info/grafts").write_text(f"{b}\n")
    source = GitSource(str(repo.path), b)
    past = source.past()
    assert past.history is not None
    assert [c.id for c in past.history.commits] == [a, b]
    assert [f.reason.key for f in past.faults] == ["release.git.replaced"]
    assert read_whole(source, "x", 10) == b"2"
