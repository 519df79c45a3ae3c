"""``apograph lab``: what is missing is said, half-made releases are made again, processes work together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from apograph.cli import call
from apograph.lab.make import finished, make_all, release_path
from apograph.lab.manifest import read_manifest
from apograph.lab.recipes import Parent, Recipe, Step


def noise(name: str, seed: int, parent: str = "seed-00") -> Recipe:
    return Recipe(name, "noise", seed, parents=(Parent(parent),), steps=(Step("noise", {}),))


@pytest.fixture
def folder(small_set: Path, tmp_path: Path) -> Path:
    """A set with one finished release."""
    for part in ("releases/seed-00", "records/seed-00.json"):
        source, target = small_set / part, tmp_path / part
        target.parent.mkdir(parents=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return tmp_path


def test_deriving_before_training_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["lab", "derive", str(tmp_path), "--small"]) == 4
    assert "the first is seed-00" in capsys.readouterr().err


def test_a_half_made_release_is_made_again(folder: Path) -> None:
    half = release_path(folder, "n")
    half.mkdir()
    (half / "config.json").write_text("{")
    told: list[str] = []
    assert make_all(folder, [noise("n", 1)], lambda done, n, name: told.append(name)) == 1
    assert told == ["n"]
    assert (half / "model.safetensors").exists()
    assert make_all(folder, [noise("n", 1)], lambda *_: None) == 0


def test_two_processes_make_the_same_as_one(folder: Path) -> None:
    plan = [noise("a", 1), noise("b", 2), noise("c", 3, parent="b")]
    assert make_all(folder, plan, lambda *_: None, jobs=2) == 3
    assert set(read_manifest(folder).recipes) == {"a", "b", "c"}
    first = (release_path(folder, "c") / "model.safetensors").read_bytes()
    (folder / "records" / "c.json").unlink()
    assert make_all(folder, plan, lambda *_: None) == 1
    assert (release_path(folder, "c") / "model.safetensors").read_bytes() == first
    assert finished(folder, "c")


def test_a_parent_that_is_nowhere_ends_the_work(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_all(folder, [noise("a", 1, parent="nowhere")], lambda *_: None, jobs=2)


def test_what_is_finished_is_in_the_manifest_after_an_interruption(folder: Path) -> None:
    def progress(done: int, n: int, name: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_all(folder, [noise("a", 1), noise("b", 2)], progress)
    assert set(read_manifest(folder).recipes) == {"a"}


def listed(name: str, more: str) -> str:
    fields = '"name": "a", "group": "", "steps": [], "record": {}'
    return '{"releases": {"' + name + '": {' + fields + more + "}}}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "[]", "{}", "[" * 100_000, '{"releases": 1}', '{"releases": {"a": 1}}'),
        listed("a", ""),
        listed("a", ', "seed": 1, "parents": [1]'),
        listed("a", ', "seed": "1", "parents": []'),
        listed("b", ', "seed": 1, "parents": []'),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert call(["lab", "measure", str(tmp_path)]) == 4
    told = capsys.readouterr().err
    assert "not a list of releases" in told
    assert told.count("\n") == 1


def test_releases_that_are_not_there_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_all(folder, [noise("n", 1)], lambda *_: None)
    assert call(["lab", "measure", str(folder)]) == 4
    assert "seed-00" in capsys.readouterr().err  # a parent that the manifest lacks
