"""Configuration, tokenizer and card, wherever in the tree they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apograph.release import parts
from apograph.release.opened import main_config
from tests.release.repos import pointer


def write(folder: Path, files: dict[str, Any]) -> dict[str, Any]:
    """A folder of files (JSON unless bytes) and the spec that names it."""
    for path, value in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return {"kind": "folder", "path": str(folder)}


def faults(answer: Any) -> list[tuple[str, str, bool]]:
    return [(f["path"], f["reason"]["key"], f["fault"]) for f in answer["faults"]]


def test_configurations_by_path_without_tokenizers_and_indexes(tmp_path: Path) -> None:
    spec = write(
        tmp_path,
        {
            "config.json": {"a": 1},
            "generation_config.json": [1],
            "m/preprocessor_config.json": {},
            "m/adapter_config.json": {},
            "tokenizer_config.json": {},
            "model.safetensors.index.json": {},
            "data.json": {},
            "broken_config.json": b"{",
            "lfs_config.json": pointer(),
        },
    )
    answer: Any = parts.configs(spec)
    assert answer["value"] == {
        "config.json": {"a": 1},
        "generation_config.json": [1],
        "m/adapter_config.json": {},
        "m/preprocessor_config.json": {},
    }
    assert faults(answer) == [
        ("broken_config.json", "readers.json.syntax", True),
        ("lfs_config.json", "release.absent.lfs", False),
    ]


@pytest.mark.parametrize(
    ("found", "main"),
    [
        ({}, {}),
        ({"config.json": {"n": 1}}, {}),
        ({"config.json": [1], "b/config.json": {"model_type": "x"}}, {"model_type": "x"}),
        (
            {"a/b/config.json": {"model_type": "deep"}, "z/config.json": {"architectures": []}},
            {"architectures": []},
        ),
        ({"generation_config.json": {"model_type": "x"}}, {}),
    ],
)
def test_the_main_configuration_is_the_shallowest(found: dict[str, Any], main: dict[str, Any]) -> None:
    assert main_config(found) == main


def test_the_tokenizer_of_the_shallowest_folder(tmp_path: Path) -> None:
    token = {"0": {"content": "<s>", "special": True}}
    spec = write(
        tmp_path,
        {
            "m/tokenizer_config.json": {"bos_token": "<s>", "added_tokens_decoder": token},
            "m/tokenizer.json": pointer(),
            "m/x/tokenizer_config.json": {"bos_token": "other"},
        },
    )
    answer: Any = parts.tokenizer(spec)
    assert answer["value"]["vocab"] is None
    assert answer["value"]["files"] == ["m/tokenizer_config.json"]
    assert [t["content"] for t in answer["value"]["added"]] == ["<s>"]
    assert faults(answer) == [("m/tokenizer.json", "release.absent.lfs", False)]


def test_a_lone_vocab_txt_is_no_tokenizer(tmp_path: Path) -> None:
    assert parts.tokenizer(write(tmp_path, {"vocab.txt": b"a\nb\n"})) == {"value": None, "faults": []}


def test_the_card_is_the_shallowest_readme(tmp_path: Path) -> None:
    spec = write(
        tmp_path, {"d/README.md": b"deep", "ReadMe.md": b"---\nbase_model: a/b\nlicense: mit\n---\nText\n"}
    )
    answer: Any = parts.card(spec)
    assert answer["value"]["path"] == "ReadMe.md"
    assert answer["value"]["declared"] == {"base_model": "a/b", "license": "mit"}


def test_an_unreadable_card_is_a_fault(tmp_path: Path) -> None:
    answer: Any = parts.card(write(tmp_path, {"README.md": b"\xff" * 10}))
    assert answer["value"] is None
    assert [fault for *_, fault in faults(answer)] == [True]
