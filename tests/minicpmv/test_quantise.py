"""Quantised models: what is replaced, how near they stay, and that the saved form is the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from apograph.findings import Refusal
from apograph.minicpmv.checkpoint import load, open_checkpoint
from apograph.minicpmv.model import Model
from apograph.minicpmv.packed import Int4Linear, Int8Linear
from apograph.minicpmv.prompt import Message, build
from apograph.minicpmv.quantise import Kind, Packed, load_quantised, load_saved, save
from apograph.minicpmv.store import tensor_source, write
from tests.minicpmv.releases import llama3v, write_release

KINDS: tuple[Kind, ...] = get_args(Kind)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, torch.Tensor]) -> Path:
    return write_release(tmp_path_factory.mktemp("q") / "m", weights, llama3v, torch.float16, shards=2)


def logits(model: Model, release: Path, picture: Any) -> torch.Tensor:
    tokenizer = open_checkpoint(release).tokenizer()
    prompt = build([Message("user", (picture("tiny100x60"), "What is this?"))], tokenizer, model.config)
    with torch.inference_mode():
        return model(model.embed(prompt)[None])[0].float()


@pytest.mark.parametrize("kind", KINDS)
def test_which_layers_are_replaced(kind: Kind, release: Path) -> None:
    model = load_quantised(open_checkpoint(release), kind)
    kinds = {name: module.kind for name, module in model.named_modules() if isinstance(module, Packed)}
    llm = {f"llm.model.layers.{i}.{part}" for i in range(2) for part in (
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
    )}  # fmt: skip
    if kind == "nf4":
        # The tiny tower's widths (48, 100) are no multiples of 64; the published ones are.
        assert kinds == dict.fromkeys(llm, "nf4")
    else:
        assert kinds == dict.fromkeys(llm, kind) | {"llm.lm_head": "int8"}


@pytest.mark.parametrize(("kind", "near"), [("int8", 0.03), ("int4", 0.35), ("nf4", 0.35)])
def test_quantised_models_stay_near(kind: Kind, near: float, release: Path, picture: Any) -> None:
    exact = logits(load(open_checkpoint(release), torch.float32), release, picture)
    found = logits(load_quantised(open_checkpoint(release), kind, torch.float32), release, picture)
    assert (found - exact).norm() < near * exact.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_form_is_the_same_model(kind: Kind, release: Path, picture: Any, tmp_path: Path) -> None:
    model = load_quantised(open_checkpoint(release), kind)
    folder = tmp_path / "saved"
    save(model, folder, release / "tokenizer.json")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.quantised
    again = load_saved(checkpoint)
    assert torch.equal(logits(again, folder, picture), logits(model, folder, picture))
    assert checkpoint.config == model.config


def test_a_saved_form_that_lies_is_refused(release: Path, tmp_path: Path) -> None:
    model = load_quantised(open_checkpoint(release), "int4")
    save(model, tmp_path / "saved")
    checkpoint = open_checkpoint(tmp_path / "saved")
    reader = checkpoint.reader
    tensors = {name: reader.whole(name) for name in reader.entries}
    name = "llm.model.layers.0.mlp.up_proj.weight.int4"
    tensors[name] = tensors[name][:-1].clone()
    write(tmp_path / "saved" / "model.safetensors", [tensor_source(n, t) for n, t in tensors.items()])
    with pytest.raises(Refusal):
        load_saved(open_checkpoint(tmp_path / "saved"))


def test_layers_are_never_held_whole(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apograph.minicpmv import store

    sizes: list[int] = []
    pieces = store.Reader.pieces

    def watched(self: store.Reader, name: str) -> Any:
        for first, rows in pieces(self, name):
            sizes.append(rows.numel() * rows.element_size())
            yield first, rows

    monkeypatch.setattr(store, "PIECE", 20_000)
    monkeypatch.setattr(store.Reader, "pieces", watched)
    model = load_quantised(open_checkpoint(release), "int4")
    assert isinstance(model.get_submodule("llm.model.layers.0.mlp.up_proj"), Int4Linear)
    assert isinstance(model.get_submodule("llm.lm_head"), Int8Linear)
    assert max(sizes) <= 20_000
