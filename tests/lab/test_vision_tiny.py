"""The small models' tokenizer and first weights."""

from __future__ import annotations

from pathlib import Path

import torch

from apograph.lab.vision.texts import ALPHABET
from apograph.lab.vision.tiny import CONFIG, READ, new_model, save, tokenizer
from apograph.minicpmv.checkpoint import load, open_checkpoint
from apograph.minicpmv.prompt import Message, encode_messages


def test_every_letter_is_one_token_and_comes_back() -> None:
    words = tokenizer()
    assert words.size <= CONFIG.vocab_size
    for letter in ALPHABET.replace(" ", ""):
        assert words.decode(words.encode(letter)) == letter
    assert words.decode(words.encode("a line, of (text)")) == "a line, of (text)"
    assert [len(words.encode(text)) for text in (READ, "user", "assistant", "\n\n")] == [1, 1, 1, 1]


def test_a_prompt_has_no_more_tokens_than_its_parts() -> None:
    ids, _ = encode_messages([Message("user", (READ,))], tokenizer(), CONFIG)
    assert len(ids) == 7  # begin, header of three, break, question, end of turn


def test_first_weights_follow_from_the_seed_and_queries_look_at_their_own_columns(tmp_path: Path) -> None:
    model, again, other = new_model(3), new_model(3), new_model(4)
    state = model.state_dict()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in state.items())
    assert not torch.equal(state["resampler.proj"], other.state_dict()["resampler.proj"])

    reader = model.resampler
    weights = reader.attn.in_proj_weight.view(3, CONFIG.hidden_size, -1)
    from apograph.minicpmv.resampler import sincos_positions

    keys = sincos_positions(CONFIG.hidden_size, 2, CONFIG.query_num).flatten(0, 1) @ weights[1].T
    looks = (reader.ln_q(reader.query) @ weights[0].T @ keys.T).argmax(-1) % CONFIG.query_num
    near = (looks - torch.arange(CONFIG.query_num)).abs()
    assert int(near.max()) <= 1

    save(model, tmp_path / "release")
    loaded = load(open_checkpoint(tmp_path / "release"), torch.float32)
    for name, value in loaded.named_parameters():
        assert torch.equal(value, state[name].bfloat16().float()), name
