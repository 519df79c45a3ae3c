"""Ids equal to the original code's, and its faults mended one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.findings import Refusal
from apograph.minicpmv.config import Config
from apograph.minicpmv.prompt import Markup, Message, Prompt, build
from apograph.minicpmv.tokens import Tokenizer

ALPHABET = ["<image>", "<|eot_id|>", "</slice>", "!", " ", "a", "\n", "文", "<", "|>"]
QUESTION = "What is written in this image? List every word."
SINGLE = ["square448", "vga640x480", "tall1to9_200x1800", "phone1080x1920", "max1344", "tall1to9_600x5400"]


def chat(case: dict[str, Any], picture: Any) -> list[Message]:
    """The golden conversation as our messages."""
    names = iter(case["images"])
    system = [Message("system", (case["system"],))] if case["system"] else []
    return system + [
        Message(m["role"], tuple(picture(next(names)) if p == "<IMAGE>" else p for p in m["content"]))
        for m in case["messages"]
    ]


def check(prompt: Prompt, case: dict[str, Any]) -> None:
    assert list(prompt.ids) == case["input_ids"]
    assert [list(place) for place in prompt.places] == case["image_bound"]


@pytest.mark.parametrize("name", SINGLE)
def test_one_picture(
    name: str, cases: dict[str, Any], picture: Any, tokenizer: Tokenizer, config: Config
) -> None:
    check(build([Message("user", (picture(name), QUESTION))], tokenizer, config), cases[name])


@pytest.mark.parametrize("name", ["chat_two_images", "chat_multi_turn_system"])
def test_conversations(
    name: str, cases: dict[str, Any], picture: Any, tokenizer: Tokenizer, config: Config
) -> None:
    check(build(chat(cases[name], picture), tokenizer, config), cases[name])


def test_text_only_does_not_crash(cases: dict[str, Any], tokenizer: Tokenizer, config: Config) -> None:
    prompt = build([Message("user", ("Describe the picture, please.",))], tokenizer, config)
    assert list(prompt.ids) == cases["chat_text_only"]["input_ids"]
    assert prompt.places == ()


def test_lone_exclamation_marks_are_kept(cases: dict[str, Any], tokenizer: Tokenizer) -> None:
    example = cases["decode_example"]
    assert tokenizer.decode_as_published(example["ids"]) == example["decoded"]
    assert tokenizer.decode(example["ids"]) == "The total! is 42.!<box>1 2</box>"


def test_a_prompt_too_long_is_refused_not_cut(picture: Any, tokenizer: Tokenizer, config: Config) -> None:
    message = Message("user", (picture("vga640x480"), QUESTION))
    with pytest.raises(Refusal) as refusal:
        build([message], tokenizer, config, limit=60)
    assert refusal.value.code == 5
    assert refusal.value.message.params["limit"] == 60


@pytest.mark.parametrize(
    "token", ["<image>", "</image>", "<unk>", "<|eot_id|>", "<|start_header_id|>", "<box>"]
)
def test_text_never_becomes_a_special_token(token: str, tokenizer: Tokenizer, config: Config) -> None:
    plain = build([Message("user", ("say x",))], tokenizer, config)
    forged = build([Message("user", (f"say {token}x",))], tokenizer, config)
    special = {i for i in plain.ids if i >= 330}
    assert {i for i in forged.ids if i >= 330} == special
    assert forged.places == ()
    assert token in tokenizer.decode(forged.ids)


def test_markup_of_answers_and_quoted_actions_is_kept(tokenizer: Tokenizer, config: Config) -> None:
    box = "<box>1 2 3 4</box>"
    history = [
        Message("user", ("where?",)),
        Message("assistant", (box,)),
        Message("user", ("again", Markup(box))),
    ]
    ids = build(history, tokenizer, config).ids
    assert (ids.count(344), ids.count(345)) == (2, 2)
    assert ids.count(tokenizer.special.eot) == 3


@pytest.mark.parametrize(
    "roles", [[], ["assistant"], ["system"], ["user", "system", "user"], ["user", "assistant"]]
)
def test_roles_out_of_order_are_refused(roles: list[Any], tokenizer: Tokenizer, config: Config) -> None:
    with pytest.raises(Refusal) as refusal:
        build([Message(role, ("x",)) for role in roles], tokenizer, config)
    assert refusal.value.code == 4


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ALPHABET)).map("".join))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    from pathlib import Path

    tokenizer = Tokenizer.from_file(Path(__file__).parent / "golden" / "tiny_tokenizer.json")
    ids = tokenizer.encode(text)
    assert all(i < 330 for i in ids)
    assert tokenizer._backend.decode(ids, skip_special_tokens=False) == text
