"""Labels of conversations, by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from apograph.findings import Refusal
from apograph.minicpmv.config import Config
from apograph.minicpmv.examples import IGNORED, encode_example, read_examples
from apograph.minicpmv.prompt import Message, build
from apograph.minicpmv.tokens import Tokenizer
from tests.minicpmv.releases import GOLDEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(GOLDEN / "images" / "tiny100x60.png", tmp_path / "a.png")
    return tmp_path


def written(folder: Path, *entries: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(list(entries)), "utf-8")
    return path


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def test_labels_of_two_turns(folder: Path, tokenizer: Tokenizer, config: Config) -> None:
    path = written(folder, {"id": "1", "image": "a.png", "conversations": turns("a?", "b", "c?", "d")})
    prompt, labels = encode_example(read_examples(path)[0], tokenizer, config)
    eot, ids = tokenizer.special.eot, list(prompt.ids)
    answers = [tokenizer.encode("b")[0], tokenizer.encode("d")[0]]
    ends = [i for i, id_ in enumerate(ids) if id_ == eot]
    expected = [IGNORED] * len(ids)
    for end, answer in ((ends[1], answers[0]), (ends[3], answers[1])):
        expected[end - 2], expected[end - 1] = answer, eot  # each position is labelled with what follows it
    expected[ends[1]] = eot  # the published oddity: another turn follows
    assert labels.tolist() == expected
    assert ids[-1] == eot
    assert len(prompt.places) == 1


def test_the_ids_are_those_of_a_chat(
    folder: Path, tokenizer: Tokenizer, config: Config, picture: Any
) -> None:
    path = written(folder, {"image": "a.png", "conversations": turns("What is it?", "b")})
    prompt, _ = encode_example(read_examples(path)[0], tokenizer, config)
    asked = build([Message("user", (picture("tiny100x60"), "What is it?"))], tokenizer, config)
    assert prompt.ids[: len(asked.ids)] == asked.ids
    assert prompt.places == asked.places


def test_named_pictures_stand_where_they_are_named(
    folder: Path, tokenizer: Tokenizer, config: Config
) -> None:
    images = {"<image_00>": "a.png", "<image_01>": "a.png"}
    text = "first <image_00>\nthen\n<image_01>"
    path = written(folder, {"image": images, "conversations": turns(text, "b")})
    prompt, _ = encode_example(read_examples(path)[0], tokenizer, config)
    assert len(prompt.pictures) == 2
    assert "<image_00>" not in tokenizer.decode(prompt.ids)


def test_text_only(folder: Path, tokenizer: Tokenizer, config: Config) -> None:
    path = written(folder, {"conversations": turns("a?", "b")})
    assert encode_example(read_examples(path)[0], tokenizer, config)[0].pictures == ()


@pytest.mark.parametrize(
    "entry",
    [
        1,
        {},
        {"conversations": []},
        {"conversations": turns("a")},
        {"conversations": [{"role": "robot", "content": "x"}]},
        {"image": {"<image_00>": 1}, "conversations": turns("a", "b")},
    ],
)
def test_bad_conversations_are_refused(entry: Any, folder: Path) -> None:
    with pytest.raises(Refusal):
        read_examples(written(folder, entry))
