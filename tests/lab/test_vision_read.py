"""The reading model that comes with the program: what that very file reads, and what copies of it answer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from apograph.lab.vision.copies import answer_ids, answers, noised, open_model, renamed_like, respelled
from apograph.lab.vision.read import CACHED, held_out, line_sample, measure, train_and_save
from apograph.lab.vision.texts import is_held_out
from apograph.lab.vision.train import Recipe
from apograph.release import open_release

LINES = 60


def test_the_model_reads_lines_with_words_it_never_saw() -> None:
    samples = held_out(LINES, seed=1)
    found = measure(answers(*open_model(CACHED), samples), samples)
    assert found.lines == LINES
    assert found.characters >= 0.95
    assert (CACHED / "model.safetensors").stat().st_size < 3_000_000


def test_under_llama3vs_names_and_renamed_back_it_gives_identical_ids(tmp_path: Path) -> None:
    samples = held_out(20, seed=2)
    ids = answer_ids(*open_model(CACHED), samples)
    published = respelled(CACHED, tmp_path / "published")
    tensors = open_release(str(published)).tensors
    assert tensors is not None
    names = {entry.name for entry in tensors.entries}
    assert {name.partition(".")[0] for name in names} == {"llm", "vison", "projection"}
    assert answer_ids(*open_model(published), samples) == ids
    back = renamed_like(published, CACHED, tmp_path / "back")
    assert (back / "model.safetensors").stat().st_size > 2_000_000
    assert answer_ids(*open_model(back), samples) == ids


def test_much_noise_changes_answers(tmp_path: Path) -> None:
    samples = held_out(10, seed=3)
    ids = answer_ids(*open_model(CACHED), samples)
    loud = noised(CACHED, "1/5", 0, tmp_path / "loud")
    assert answer_ids(*open_model(loud), samples) != ids


def test_accuracy_is_counted_by_characters_words_and_lines() -> None:
    draw = random.Random(0)
    kept, seen = "class", "the"
    assert is_held_out(kept)
    assert not is_held_out(seen)
    samples = [line_sample(text, draw) for text in (f"{seen} {kept}", f"{seen} {seen}")]
    found = measure([f"{seen} {kept}", f"{seen}{seen}"], samples)
    assert found.characters == pytest.approx(1 - 1 / len("".join(s.answer for s in samples)))
    assert found.words == pytest.approx(2 / 4)
    assert found.unseen == 1.0
    assert found.whole == 0.5


def test_training_is_repeatable(tmp_path: Path) -> None:
    recipe = Recipe(steps=3, batch=4, warmup=1)
    for name in ("one", "two"):
        steps = list(train_and_save(tmp_path / name, 5, recipe))
        assert [step.number for step in steps] == [0, 1, 2]
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
