"""Turns reuse what the turn before computed, and nothing that they must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from apograph.findings import Refusal
from apograph.minicpmv.config import Reading
from apograph.minicpmv.engine import Chat, Engine
from apograph.minicpmv.generate import BEAMS, Decoding
from apograph.minicpmv.model import Model
from apograph.minicpmv.prompt import Message
from apograph.minicpmv.tokens import Tokenizer

QUESTION = "What is written in this image? List every word."
SHORT = Decoding(max_new_tokens=6)


@pytest.fixture
def engine(model: Model, tokenizer: Tokenizer) -> Engine:
    return Engine(model, tokenizer)


def test_the_answer_is_the_golden_one(engine: Engine, picture: Any, cases: Any) -> None:
    message = Message("user", (picture("vga640x480"), QUESTION))
    answer = engine.answer([message], Decoding(max_new_tokens=24))
    assert list(answer.ids) == cases["vga640x480"]["generation"]["greedy"]
    assert answer.text == engine.tokenizer.decode(answer.ids)
    assert answer.finish == "length"
    assert answer.prompt_tokens == len(cases["vga640x480"]["input_ids"])
    beams = engine.answer([message], replace(BEAMS, max_new_tokens=24))
    assert list(beams.ids) == cases["vga640x480"]["generation"]["beam3_repetition_penalty_1_2"]


def test_streamed_pieces_join_to_the_text(engine: Engine, picture: Any, tokenizer: Tokenizer) -> None:
    for name in ("vga640x480", "square448", "max1344"):
        prompt = engine.prompt([Message("user", (picture(name), QUESTION))], SHORT)
        pieces = list(engine.stream(prompt, Decoding(max_new_tokens=40)))
        assert "".join(p.text for p in pieces) == tokenizer.decode(pieces[-1].ids)
        assert [p.finish for p in pieces[:-1]] == [None] * (len(pieces) - 1)


def test_the_second_turn_computes_only_what_is_new(engine: Engine, picture: Any, model: Model) -> None:
    chat = Chat(engine, "You are a GUI agent.")
    list(chat.ask([picture("tiny100x60"), "What is this?"], SHORT))
    first = engine.prompt_tokens
    ids = list(chat.ask(["And then?"], SHORT))[-1].ids
    assert engine.reused >= first - 3  # all of the first prompt, its answer's header included
    fresh = Engine(model, engine.tokenizer).answer(chat.messages[:-1], SHORT)
    assert fresh.ids == ids
    assert fresh.reused == 0


@pytest.mark.parametrize("reading", ["original", "own-mask"])
def test_pictures_are_encoded_once(
    reading: Reading, model: Model, tokenizer: Tokenizer, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    see = Model.see

    def counted(self: Model, pictures: Any) -> torch.Tensor:
        calls.append(len(pictures))
        return see(self, pictures)

    monkeypatch.setattr(Model, "see", counted)
    monkeypatch.setattr(model, "reading", reading)
    chat = Chat(Engine(model, tokenizer))
    list(chat.ask([picture("tiny100x60"), "a"], SHORT))
    list(chat.ask(["b"], SHORT))
    assert calls == [1]
    list(chat.ask([picture("vga640x480"), "c"], SHORT))
    # In the original the first picture changes with its new companion; by itself it does not.
    assert calls == ([1, 2] if reading == "original" else [1, 1])
    fresh = Engine(model, tokenizer).answer(chat.messages[:-1], SHORT)
    assert fresh.text == chat.messages[-1].parts[0]


def test_another_picture_in_the_same_place_is_not_confused(engine: Engine, picture: Any, cases: Any) -> None:
    for name in ("square448", "tiny100x60", "square448"):
        answer = engine.answer([Message("user", (picture(name), QUESTION))], Decoding(max_new_tokens=24))
        assert list(answer.ids) == cases[name]["generation"]["greedy"]


def test_breaking_off_leaves_engine_and_chat_sound(engine: Engine, picture: Any, cases: Any) -> None:
    chat = Chat(engine)
    asked = chat.ask([picture("square448"), QUESTION], Decoding(max_new_tokens=24))
    next(asked)
    asked.close()
    assert chat.messages == []
    answer = engine.answer([Message("user", (picture("square448"), QUESTION))], Decoding(max_new_tokens=24))
    assert list(answer.ids) == cases["square448"]["generation"]["greedy"]


def test_a_prompt_without_room_for_the_answer_is_refused(engine: Engine) -> None:
    with pytest.raises(Refusal) as refusal:
        engine.answer([Message("user", ("word " * 9000,))], SHORT)
    assert refusal.value.code == 5
    assert refusal.value.message.params["limit"] == 8192 - 6
