"""Any spelling, precision and number of shards gives the same model; what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from apograph.findings import Refusal
from apograph.minicpmv import store
from apograph.minicpmv.checkpoint import load, open_checkpoint
from apograph.minicpmv.generate import Decoding, generate
from apograph.minicpmv.model import Model
from apograph.minicpmv.prompt import Message, build
from tests.minicpmv.releases import llama3v, write_release

QUESTION = "What is written in this image? List every word."
PUBLISHED_DEFAULTS = (
    "architectures",
    "batch_vision_input",
    "drop_vision_last_layer",
    "slice_config",
)


def answers(model: Model, folder: Path, picture: Any) -> list[int]:
    tokenizer = open_checkpoint(folder).tokenizer()
    prompt = build([Message("user", (picture("vga640x480"), QUESTION))], tokenizer, model.config)
    with torch.inference_mode():
        embeds = model.embed(prompt)
    return generate(model, [embeds], Decoding(max_new_tokens=24), tokenizer.special.stops)[0]


@pytest.mark.parametrize("rename", [str, llama3v])
@pytest.mark.parametrize("shards", [1, 3])
def test_both_spellings_give_the_golden_answer(
    rename: Any, shards: int, tmp_path: Path, weights: dict[str, torch.Tensor], picture: Any, cases: Any
) -> None:
    folder = write_release(tmp_path / "m", weights, rename, torch.float16, shards, drop=PUBLISHED_DEFAULTS)
    model = load(open_checkpoint(folder), torch.float32)
    assert answers(model, folder, picture) == cases["vga640x480"]["generation"]["greedy"]


def test_a_renaming_found_by_alignment_runs(
    tmp_path: Path, weights: dict[str, torch.Tensor], picture: Any, cases: Any
) -> None:
    def other(name: str) -> str:
        for mine, theirs in (
            ("llm.model.layers", "text.blocks"),
            ("llm.", "text."),
            ("vpm.", "eye."),
            ("resampler.", "bridge."),
            ("mlp.", "ffn."),
            ("self_attn.", "attention."),
        ):
            name = name.replace(mine, theirs, 1)
        return name

    reference = write_release(tmp_path / "reference", weights, llama3v)
    candidate = write_release(tmp_path / "candidate", weights, other, torch.float16)
    with pytest.raises(Refusal) as refusal:
        load(open_checkpoint(candidate), torch.float32)
    assert refusal.value.message.key == "minicpmv.refused.names"
    model = load(open_checkpoint(candidate, like=reference), torch.float32)
    assert answers(model, candidate, picture) == cases["vga640x480"]["generation"]["greedy"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_is_read(
    dtype: torch.dtype, tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    folder = write_release(tmp_path / "m", weights, dtype=dtype)
    loaded = load(open_checkpoint(folder), torch.float32).state_dict()
    assert loaded.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(loaded[name], tensor.to(dtype).float()), name


def test_reading_never_holds_more_than_a_piece(
    tmp_path: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_release(tmp_path / "m", weights)
    monkeypatch.setattr(store, "PIECE", 5000)
    reader = open_checkpoint(folder).reader
    name = "vpm.embeddings.position_embedding.weight"  # 4900 rows of 192 bytes
    sizes = [rows.numel() * 4 for _, rows in reader.pieces(name)]
    assert max(sizes) <= 5000
    assert sum(sizes) == 4900 * 192
    assert torch.equal(reader.whole(name), weights[name])


def test_a_wrong_shape_is_refused(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    folder = write_release(tmp_path / "m", weights)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"query_num": 9}))
    with pytest.raises(Refusal) as refusal:
        load(open_checkpoint(folder), torch.float32)
    assert refusal.value.message.params["name"] == "resampler.query"


def test_a_file_that_ends_early_is_refused(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    folder = write_release(tmp_path / "m", weights)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(Refusal):
        load(open_checkpoint(folder), torch.float32)


@pytest.mark.parametrize("content", ["", "{}", '{"version": "1.0", "model": {"type": "BPE"}}', "[1"])
def test_a_broken_tokenizer_is_refused(
    content: str, tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    folder = write_release(tmp_path / "m", weights)
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(Refusal) as refusal:
        open_checkpoint(folder).tokenizer()
    assert refusal.value.code == 3


def test_code_of_a_release_is_not_run(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    folder = write_release(tmp_path / "m", weights)
    trap = tmp_path / "ran"
    (folder / "modeling_minicpmv.py").write_text(f"open({str(trap)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_minicpmv.MiniCPMV"}
    (folder / "config.json").write_text(json.dumps(config))
    load(open_checkpoint(folder), torch.float32)
    assert not trap.exists()
