"""Which content was current when: along first parents, along branches, through merges."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apograph.findings import Refusal
from apograph.release import history as module
from apograph.release.history import newest_not_after, read_history
from apograph.release.objects import Objects
from apograph.release.refs import read_references
from apograph.release.source import Past
from apograph.release.types import Change, History
from tests.release.repos import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def past(repo: Repo) -> Past:
    return read_history(Objects(str(repo.path)), read_references(str(repo.path)))


def history(repo: Repo) -> History:
    found = past(repo).history
    assert found is not None
    return found


def told(repo: Repo, path: str) -> list[tuple[int, int | None]]:
    return [(v.since, v.until) for v in history(repo).versions if v.path == path]


def test_a_line_of_commits(repo: Repo) -> None:
    a = repo.commit({"x": b"1", "d": {"y": b"1"}}, time=10)
    b = repo.commit({"x": b"2", "d": {"y": b"1"}}, a, time=20)
    c = repo.commit({"x": b"1"}, b, time=30, message="third\n\nSigned-off-by: A <a@b.c>\n")
    repo.ref("refs/tags/v1", b)
    found = history(repo)
    assert [commit.id for commit in found.commits] == [a, b, c]
    assert [commit.refs for commit in found.commits] == [(), ("v1",), ("main",)]
    one, two = repo.blob(b"1"), repo.blob(b"2")
    assert found.commits[0].changes == (Change("d/y", None, one), Change("x", None, one))
    assert found.commits[1].changes == (Change("x", one, two),)
    assert found.commits[2].changes == (Change("d/y", one, None), Change("x", two, one))
    assert told(repo, "x") == [(10, 20), (20, 30), (30, None)]
    assert told(repo, "d/y") == [(10, 30)]
    assert found.versions[-1].until_commit is None
    assert found.versions[0].until_commit == c
    assert found.commits[0].author == "A U Thor"
    assert found.commits[0].offset == 120
    assert found.commits[2].message == "third\n\nSigned-off-by: A <…>\n"


def test_a_file_that_becomes_a_folder(repo: Repo) -> None:
    a = repo.commit({"x": b"1"}, time=10)
    repo.commit({"x": {"z": b"1"}}, a, time=20)
    assert told(repo, "x") == [(10, 20)]
    assert told(repo, "x/z") == [(20, None)]


@pytest.mark.parametrize("side", ["a-side", "side"])
def test_branches_do_not_end_each_others_versions(repo: Repo, side: str) -> None:
    a = repo.commit({"x": b"1"}, time=10)
    repo.commit({"x": b"2"}, a, time=20, branch=side)
    repo.commit({"x": b"3"}, a, time=30)
    assert told(repo, "x") == [(10, 30), (20, None), (30, None)]


def test_a_merged_line_ends_at_the_merge(repo: Repo) -> None:
    a = repo.commit({"x": b"1"}, time=10)
    side = repo.commit({"x": b"2"}, a, time=20, branch=None)
    main = repo.commit({"x": b"1", "y": b"1"}, a, time=25)
    repo.commit({"x": b"2", "y": b"1"}, main, side, time=40)
    assert told(repo, "x") == [(10, 40), (20, 40), (40, None)]
    assert told(repo, "y") == [(25, None)]


def test_commits_of_every_reference_are_read(repo: Repo) -> None:
    repo.commit({"x": b"1"}, time=10)
    pull = repo.commit({"hidden": b"1"}, time=5, branch=None)
    repo.ref("refs/pull/7/head", pull)
    assert [commit.refs for commit in history(repo).commits] == [("refs/pull/7/head",), ("main",)]
    assert told(repo, "hidden") == [(5, None)]


def test_parents_come_before_children_whatever_the_clock_said(repo: Repo) -> None:
    a = repo.commit({"x": b"1"}, time=50)
    b = repo.commit({"x": b"2"}, a, time=10)
    repo.commit({"x": b"3"}, b, time=60)
    assert [commit.time for commit in history(repo).commits] == [50, 10, 60]


def test_a_cut_history_is_noted(repo: Repo) -> None:
    b = repo.commit({"x": b"2"}, "9" * 40, time=20)
    found = past(repo)
    assert found.history is not None
    assert [commit.id for commit in found.history.commits] == [b]
    assert [(f.reason.key, f.fault) for f in found.faults] == [("release.git.shallow", False)]


def test_a_bound_truncates(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = repo.commit({"x": b"0"}, time=0)
    for n in range(1, 10):
        parent = repo.commit({"x": b"%d" % n}, parent, time=n)
    monkeypatch.setattr(module, "MAX_COMMITS", 4)
    found = past(repo)
    assert found.history is not None
    assert found.history.truncated
    assert [commit.time for commit in found.history.commits] == [6, 7, 8, 9]
    assert [(f.fault, f.code) for f in found.faults if f.fault] == [(True, 5)]


def test_a_tree_bomb_is_cut_short(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 20_000)
    tree = repo.tree({"f": b"x"})
    for _ in range(10):
        tree = repo.entries(*((b"40000", b"%d" % n, tree) for n in range(10)))
    repo.commit(tree, time=1)
    found = past(repo)
    assert found.history is not None
    assert found.history.truncated
    assert len(found.history.commits) == 1


def test_the_newest_commit_not_after(repo: Repo) -> None:
    a = repo.commit({"x": b"1"}, time=10)
    repo.commit({"x": b"2"}, a, time=20, branch="side")
    c = repo.commit({"x": b"3"}, a, time=30)
    commits = history(repo).commits
    side = commits[1].id
    assert newest_not_after(commits, 29, "p") == {"id": side, "time": 20, "later": c}
    assert newest_not_after(commits, 30, "p") == {"id": c, "time": 30, "later": None}
    with pytest.raises(Refusal) as refused:
        newest_not_after(commits, 9, "p")
    assert refused.value.message.key == "release.git.none_so_old"
    assert refused.value.message.params == {"first": "1970-01-01T00:00:10Z"}


names = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/f"])
states = st.dictionaries(names, st.sampled_from([b"1", b"2", b"3"]), max_size=5)


def nested(files: dict[str, bytes]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, data in files.items():
        *folders, name = path.split("/")
        here = tree
        for folder in folders:
            here = here.setdefault(folder, {})  # type: ignore[assignment]
        here[name] = data
    return tree


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(states, min_size=1, max_size=8))
def test_versions_tell_the_tree_of_every_moment(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[dict[str, bytes]]
) -> None:
    repo = Repo(tmp_path_factory.mktemp("repo") / "r")
    parents: list[str] = []
    for moment, files in enumerate(sequence):
        parents = [repo.commit(nested(files), *parents, time=moment)]  # type: ignore[arg-type]
    versions = history(repo).versions
    for moment, files in enumerate(sequence):
        current = {
            v.path: v.git_oid for v in versions if v.since <= moment and (v.until is None or moment < v.until)
        }
        assert current == {path: repo.blob(data) for path, data in files.items()}
