import json

import pytest

from apograph.release.tokenizer_files import read_tokenizer
from apograph.release.tokenizer_gguf import read_gguf_tokenizer
from apograph.release.tokenizer_model import MAX_TOKEN, read_model
from tests.release.refusals import refused


def as_json(value) -> bytes:
    return json.dumps(value).encode()


VOCAB = {"a": 0, "b": 1, "ab": 2}
ADDED = [{"id": 3, "content": "<slice>", "special": True, "lstrip": False, "normalized": True}]


def full(model) -> dict[str, bytes]:
    return {
        "t/tokenizer.json": as_json({"model": model, "added_tokens": ADDED, "normalizer": {"type": "NFC"}})
    }


@pytest.mark.parametrize("merges", [["a b", "ab b"], [["a", "b"], ["ab", "b"]]])
def test_bpe_with_merges_in_both_forms(merges):
    found, faults = read_tokenizer(
        full({"type": "BPE", "vocab": VOCAB, "merges": merges, "byte_fallback": True})
    )
    assert faults == ()
    assert (found.vocab, found.merges) == (VOCAB, ("a b", "ab b"))
    assert found.parts == {"normalizer": {"type": "NFC"}, "model": {"type": "BPE", "byte_fallback": True}}
    token = found.added[0]
    assert (token.id, token.content, token.special) == (3, "<slice>", True)
    assert token.flags == {"lstrip": False, "normalized": True}
    assert found.files == ("t/tokenizer.json",)


def test_word_piece_and_unigram():
    pieces, _ = read_tokenizer(full({"type": "WordPiece", "vocab": VOCAB, "unk_token": "[UNK]"}))
    assert (pieces.vocab, pieces.merges, pieces.parts["model"]["unk_token"]) == (VOCAB, None, "[UNK]")
    unigram, _ = read_tokenizer(full({"type": "Unigram", "vocab": [["x", 0.0], ["y", -1.5], ["x", -2]]}))
    assert unigram.vocab == {"x": 0, "y": 1}


def test_the_configuration_alone_still_speaks():
    config = {
        "added_tokens_decoder": {"5": {"content": "<slice>", "special": True}, "x": {"content": "?"}},
        "slice_start": "<slice>",
        "bos_token": {"content": "<s>"},
        "additional_special_tokens": ["<i>", {"content": "<j>"}],
        "tokenizer_class": "T",
    }
    found, faults = read_tokenizer(
        {"tokenizer_config.json": as_json(config), "special_tokens_map.json": as_json({"eos_token": "</s>"})}
    )
    assert (found.vocab, found.merges, faults) == (None, None, ())
    assert [(t.id, t.content) for t in found.added] == [(5, "<slice>")]
    assert found.special == {
        "eos_token": "</s>",
        "slice_start": "<slice>",
        "bos_token": "<s>",
        "additional_special_tokens.0": "<i>",
        "additional_special_tokens.1": "<j>",
    }
    assert found.config == config


def test_one_id_with_two_contents_keeps_both():
    files = full({"type": "BPE", "vocab": VOCAB, "merges": []}) | {
        "t/tokenizer_config.json": as_json({"added_tokens_decoder": {"3": {"content": "<other>"}}}),
        "t/added_tokens.json": as_json({"<slice>": 3, "<far>": 4294967295, "<beyond>": 1 << 32}),
    }
    found, _ = read_tokenizer(files)
    assert [(t.id, t.content) for t in found.added] == [(3, "<other>"), (3, "<slice>"), (4294967295, "<far>")]


def test_loose_files():
    found, _ = read_tokenizer({"vocab.json": as_json(VOCAB), "merges.txt": b"#version: 0.2\na b\n# b\n"})
    assert (found.vocab, found.merges, found.parts["model"]) == (VOCAB, ("a b", "# b"), {"type": "BPE"})
    found, _ = read_tokenizer({"vocab.txt": b"[PAD]\r\n[UNK]\r\nw\r\n"})
    assert (found.vocab, found.parts["model"]) == ({"[PAD]": 0, "[UNK]": 1, "w": 2}, {"type": "WordPiece"})


@pytest.mark.parametrize(
    ("files", "template"),
    [
        ({"tokenizer_config.json": as_json({"chat_template": "{{ x }}"})}, "{{ x }}"),
        (
            {"tokenizer_config.json": as_json({"chat_template": [
                {"name": "tool", "template": "T"}, {"name": "default", "template": "D"}]})},
            "D",
        ),
        ({"tokenizer_config.json": as_json({"chat_template": [{"name": "tool", "template": "T"}]})}, "T"),
        (
            {"tokenizer_config.json": as_json({"chat_template": "old"}), "chat_template.jinja": b"{{ 1/0 }}"},
            "{{ 1/0 }}",
        ),
        ({"chat_template.json": as_json({"chat_template": "J"})}, "J"),
        ({"tokenizer_config.json": as_json({"chat_template": 7})}, None),
    ],
)  # fmt: skip
def test_chat_template(files, template):
    assert read_tokenizer(files)[0].chat_template == template


@pytest.mark.parametrize(
    ("name", "data", "key", "code"),
    [
        ("tokenizer.json", b"[" * 200_000, "json.depth", 2),
        ("tokenizer.json", b"[]", "tokenizer.form", 2),
        ("tokenizer.json", as_json({"model": {"vocab": {"a": -1}}}), "tokenizer.id", 2),
        ("tokenizer.json", as_json({"model": {"vocab": {"a": "1"}}}), "tokenizer.id", 2),
        ("tokenizer.json", as_json({"model": {"vocab": 1}}), "tokenizer.form", 2),
        ("tokenizer.json", as_json({"model": {"vocab": [["a"]]}}), "tokenizer.form", 2),
        ("tokenizer.json", as_json({"model": {"vocab": {}, "merges": [1]}}), "tokenizer.form", 2),
        ("tokenizer.json", as_json({"model": {"vocab": {"a" * (MAX_TOKEN + 1): 1}}}), "tokenizer.long", 5),
        ("tokenizer.json", as_json({"model": 1}), "tokenizer.form", 2),
        ("special_tokens_map.json", b'{"a": 1, "a": 2}', "json.duplicate", 2),
        ("chat_template.jinja", b"\xff", "tokenizer.encoding", 2),
        ("chat_template.jinja", b"x" * (5 << 20), "tokenizer.size", 5),
    ],
)
def test_a_broken_file_is_a_fault_and_the_rest_speaks(name, data, key, code):
    files = {name: data, "tokenizer_config.json": as_json({"bos_token": "<s>"})}
    found, faults = read_tokenizer(files)
    assert [(f.reason.key, f.code, f.path) for f in faults] == [(f"readers.{key}", code, name)]
    assert found.special["bos_token"] == "<s>"


def test_a_hostile_pattern_is_only_a_string():
    hostile = {
        "normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
        "model": {"vocab": VOCAB},
    }
    found, faults = read_tokenizer({"tokenizer.json": as_json(hostile)})
    assert (found.parts["normalizer"]["pattern"], faults) == ({"Regex": "(a+)+$"}, ())


def test_vocabulary_is_capped(monkeypatch):
    monkeypatch.setattr("apograph.release.tokenizer_model.MAX_TOKENS", 2)
    assert refused(lambda: read_model({"vocab": VOCAB}, "t")).code == 5


def test_no_tokenizer_file():
    assert read_tokenizer({"README.md": b"x"}) == (None, ())


def test_gguf():
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": ["a", "b", "<s>", "a", "<u>"],
        "tokenizer.ggml.token_type": [1, 1, 3, 1, 4],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 99,
        "tokenizer.chat_template": "{{ x }}",
        "general.name": "n",
    }
    found = read_gguf_tokenizer(metadata, "m.gguf")
    assert (found.vocab, found.merges) == ({"a": 0, "b": 1, "<s>": 2, "<u>": 4}, ("a b",))
    assert [(t.id, t.content, t.special) for t in found.added] == [(2, "<s>", True), (4, "<u>", False)]
    assert (found.special, found.chat_template) == ({"bos_token": "<s>"}, "{{ x }}")
    assert found.parts == {"model": {"type": "gpt2"}, "pre_tokenizer": "llama-bpe"}
    assert "general.name" not in found.config
    assert read_gguf_tokenizer({}, "m.gguf") is None
