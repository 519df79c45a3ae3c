"""A repository that refers to anything outside itself is refused before a library sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.release.refs import git_directory, read_references
from tests.release.repos import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.commit({"a.py": b"x"}, time=1)
    return made


def move_away(path: Path) -> None:
    """Replace a file or folder by a link to where it lies now."""
    target = path.with_name(path.name + "-moved")
    path.rename(target)
    path.symlink_to(target)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "alternates": lambda p: (p / "objects/info/alternates").write_text("/other/objects\n"),
    "http-alternates": lambda p: (p / "objects/info/http-alternates").write_text("http://h/\n"),
    "commondir": lambda p: (p / "commondir").write_text("../other\n"),
    "worktrees": lambda p: (p / "worktrees").mkdir(),
    "HEAD is a link": lambda p: move_away(p / "HEAD"),
    "refs is a link": lambda p: move_away(p / "refs"),
    "objects is a link": lambda p: move_away(p / "objects"),
    "a branch is a link": lambda p: (p / "refs/heads/x").symlink_to("/etc/passwd"),
    "packed-refs is a link": lambda p: (p / "packed-refs").symlink_to("/etc/passwd"),
    "a pack is a link": lambda p: (p / "objects/pack/pack-1.idx").symlink_to("/etc/passwd"),
    "a folder of objects is a link": lambda p: (p / "objects/zz").symlink_to("/"),
    "reftable": lambda p: (p / "reftable").mkdir(),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_repository_that_leads_elsewhere_is_refused(repo: Repo, how: str) -> None:
    HOSTILE[how](repo.path)
    with pytest.raises(Refusal) as refused:
        git_directory(str(repo.path))
    assert refused.value.code == 2


def test_a_git_file_is_refused_and_parents_are_not_searched(repo: Repo, tmp_path: Path) -> None:
    inner = repo.path / "inner"
    inner.mkdir()
    assert git_directory(str(inner)) is None
    (inner / ".git").write_text(f"gitdir: {repo.path}\n")
    with pytest.raises(Refusal) as refused:
        git_directory(str(inner))
    assert refused.value.message.params == {"what": ".git"}


def test_a_git_link_is_refused(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/.git").symlink_to(repo.path)
    with pytest.raises(Refusal):
        git_directory(str(tmp_path / "tree"))


def test_an_incomplete_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(Refusal) as refused:
        git_directory(str(tmp_path))
    assert refused.value.message.key == "release.git.incomplete"


def test_loose_references_win_over_packed_ones(repo: Repo) -> None:
    main = (repo.path / "refs/heads/main").read_text().strip()
    (repo.path / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{'1' * 40} refs/heads/main\n"
        f"{'2' * 40} refs/tags/v1\n^{'3' * 40}\nnonsense\n"
    )
    repo.ref("refs/remotes/origin/HEAD", "ref: refs/heads/main")
    repo.ref(f"refs/replace/{'4' * 40}", "5" * 40)
    found = read_references(str(repo.path))
    assert found.tips == {
        "refs/heads/main": main,
        "refs/remotes/origin/HEAD": main,
        "refs/tags/v1": "2" * 40,
    }
    assert (found.head, found.head_id, found.replaced, found.shallow) == (
        "refs/heads/main",
        main,
        True,
        False,
    )


def test_a_detached_head(repo: Repo) -> None:
    (repo.path / "HEAD").write_text("7" * 40 + "\n")
    (repo.path / "shallow").write_text("")
    found = read_references(str(repo.path))
    assert (found.head, found.head_id, found.shallow) == (None, "7" * 40, True)


@pytest.mark.parametrize("where", ["packed-refs", "refs/heads/long"])
def test_sha256_repositories_are_named_as_such(repo: Repo, where: str) -> None:
    (repo.path / where).write_text("a" * 64 + (" refs/heads/x" if where == "packed-refs" else "") + "\n")
    with pytest.raises(Refusal) as refused:
        read_references(str(repo.path))
    assert refused.value.message.key == "release.git.sha256"


def test_a_huge_reference_is_a_limit(repo: Repo) -> None:
    (repo.path / "refs/heads/x").write_text("a" * 5000)
    with pytest.raises(Refusal) as refused:
        read_references(str(repo.path))
    assert refused.value.code == 5
