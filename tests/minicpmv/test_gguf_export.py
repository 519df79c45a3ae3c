"""The exported files read back: names, keys and values as llama.cpp's converters would have written them."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import pytest
import torch

from apograph.minicpmv.checkpoint import open_checkpoint
from apograph.minicpmv.gguf_export import export, llm_name, pairs_from_halves, vision_name
from apograph.minicpmv.resampler import sincos_positions
from tests.minicpmv.releases import llama3v, write_release


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, torch.Tensor]) -> Any:
    folder = tmp_path_factory.mktemp("gguf")
    release = write_release(folder / "m", weights, llama3v, torch.float16, shards=2)

    def read(kind: str) -> tuple[gguf.GGUFReader, gguf.GGUFReader]:
        model, projector = export(open_checkpoint(release), folder / kind, kind)
        return gguf.GGUFReader(model), gguf.GGUFReader(projector)

    return {kind: read(kind) for kind in ("F16", "Q8_0")}


def values(reader: gguf.GGUFReader, name: str) -> np.ndarray:
    tensor = next(t for t in reader.tensors if t.name == name)
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type)


def test_every_tensor_is_there(readers: Any, weights: dict[str, torch.Tensor]) -> None:
    model, projector = readers["F16"]
    assert len(model.tensors) == sum(name.startswith("llm.") for name in weights)
    others = sum(not name.startswith("llm.") for name in weights)
    assert len(projector.tensors) == others + 4 + 1  # two stacked tensors in three parts, the positions


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("llm.model.layers.3.self_attn.o_proj.weight", "blk.3.attn_output.weight"),
        ("llm.model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"),
        ("llm.model.norm.weight", "output_norm.weight"),
        ("llm.lm_head.weight", "output.weight"),
    ],
)
def test_names_of_the_language_model(ours: str, theirs: str) -> None:
    assert llm_name(ours) == theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("vpm.encoder.layers.26.mlp.fc1.bias", "v.blk.26.ffn_down.bias"),
        ("vpm.encoder.layers.0.self_attn.out_proj.weight", "v.blk.0.attn_out.weight"),
        ("vpm.embeddings.patch_embedding.bias", "v.patch_embd.bias"),
        ("vpm.post_layernorm.weight", "v.post_ln.weight"),
    ],
)
def test_names_of_the_vision_tower(ours: str, theirs: str) -> None:
    assert vision_name(ours) == theirs


def test_values(readers: Any, weights: dict[str, torch.Tensor]) -> None:
    model, projector = readers["F16"]
    down = weights["llm.model.layers.1.mlp.down_proj.weight"].numpy()
    assert np.array_equal(values(model, "blk.1.ffn_down.weight"), down)
    patches = weights["vpm.embeddings.patch_embedding.weight"].numpy()
    assert np.array_equal(values(projector, "v.patch_embd.weight").reshape(patches.shape), patches)
    stacked = weights["resampler.attn.in_proj_weight"].numpy()
    assert np.array_equal(values(projector, "resampler.attn.k.weight"), stacked[256:512])
    assert np.array_equal(values(projector, "resampler.proj.weight"), weights["resampler.proj"].numpy().T)
    assert np.array_equal(values(projector, "resampler.query"), weights["resampler.query"].numpy())
    table = sincos_positions(256, 70, 70).flatten(0, 1).numpy()
    assert np.array_equal(values(projector, "resampler.pos_embed_k"), table)


def test_rotation_of_pairs_equals_rotation_of_halves() -> None:
    rng = np.random.default_rng(0)
    weight, x, angle = rng.normal(size=(8, 5)), rng.normal(size=5), rng.normal(size=2)
    q = (weight @ x).reshape(2, 4)  # two heads of four channels
    rotated = np.concatenate(
        [
            q[:, :2] * np.cos(angle) - q[:, 2:] * np.sin(angle),
            q[:, 2:] * np.cos(angle) + q[:, :2] * np.sin(angle),
        ],
        1,
    )
    p = (pairs_from_halves(weight, 2) @ x).reshape(2, 2, 2)  # heads, pairs, the two of a pair
    pairs = np.stack(
        [
            p[..., 0] * np.cos(angle) - p[..., 1] * np.sin(angle),
            p[..., 1] * np.cos(angle) + p[..., 0] * np.sin(angle),
        ],
        -1,
    )
    assert np.allclose(pairs.swapaxes(1, 2).reshape(2, 4), rotated)


def test_quantised_matrices_stay_near(readers: Any, weights: dict[str, torch.Tensor]) -> None:
    model, projector = readers["Q8_0"]
    up = weights["llm.model.layers.0.mlp.up_proj.weight"].numpy()
    found = values(model, "blk.0.ffn_up.weight")
    assert 0 < np.linalg.norm(found - up) < 0.01 * np.linalg.norm(up)
    kinds = {t.name: t.tensor_type.name for t in model.tensors}
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert kinds["blk.0.attn_q.weight"] == "Q8_0"
    assert {t.tensor_type.name for t in projector.tensors} == {"F16", "F32"}


def test_keys(readers: Any) -> None:
    model, projector = readers["F16"]
    found = {name: field.contents() for name, field in model.fields.items() if not name.startswith("GGUF.")}
    assert found["general.architecture"] == "llama"
    assert (found["llama.block_count"], found["llama.attention.head_count_kv"]) == (2, 2)
    assert found["llama.rope.freq_base"] == 500000.0
    assert len(found["tokenizer.ggml.tokens"]) == 352
    assert found["tokenizer.ggml.tokens"][340] == "<image>"
    assert found["tokenizer.ggml.token_type"][340] == int(gguf.TokenType.CONTROL)
    assert found["tokenizer.ggml.eot_token_id"] == 339
    vision = {name: field.contents() for name, field in projector.fields.items()}
    assert (vision["clip.minicpmv_version"], vision["clip.projector_type"]) == (2, "resampler")
    assert vision["clip.minicpmv_query_num"] == 8
