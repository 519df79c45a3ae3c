"""Roles of real architectures, built tiny, whose tensors stand in order under scrambled names."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apograph.align.role_graph import find_roles
from apograph.align.roles import Roles, Tower, View
from tests.evidence.arrays_store import ArraysStore

Arrays = dict[str, np.ndarray]
GOLDEN = Path(__file__).parents[1] / "minicpmv" / "golden"
TRUE = {
    "gate_up": r"gate_up_proj",
    "gate": r"mlp\.gate_proj|\.w1\.",
    "up": r"up_proj|\.w3\.|mlp\.c_fc|intermediate\.dense|dense_h_to_4h|fc1",
    "o": r"o_proj|out_proj|attn\.c_proj|attention\.(?:output\.)?dense",
    "down": r"down_proj|\.w2\.|mlp\.c_proj|output\.dense|dense_4h_to_h|fc2",
    "qkv": r"c_attn|query_key_value|in_proj",
    "other": r"kv_proj|resampler\.query|resampler\.proj|probe|patch_embedding|token_type|classifier|pooler|"
    r"predictions\.transform|patch_embeddings",
    "q": r"q_proj|query",
    "k": r"k_proj|\.key",
    "v": r"v_proj|\.value",
    "embedding": r"embed_tokens|wte|word_embeddings|embed_in",
    "head": r"lm_head|embed_out",
    "positions": r"wpe|position_embedding",
    "router": r"mlp\.gate\.|block_sparse_moe\.gate\.",
}
"""Roles by names, the first that fits."""
HEADS = {"num_attention_heads": 4, "num_hidden_layers": 3, "hidden_size": 32}
SMALL = {**HEADS, "vocab_size": 80, "max_position_embeddings": 24, "intermediate_size": 88}
PICTURES = {**HEADS, "intermediate_size": 88, "image_size": 16, "patch_size": 4, "num_channels": 1}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaForCausalLM", {**SMALL, "num_key_value_heads": 2, "head_dim": 8}),
    "Llama, multi-head": ("LlamaForCausalLM", {**SMALL, "tie_word_embeddings": True}),
    "Qwen3": ("Qwen3ForCausalLM", {**SMALL, "num_key_value_heads": 2, "head_dim": 16}),
    "Mixtral": ("MixtralForCausalLM", {**SMALL, "num_key_value_heads": 2, "num_local_experts": 4}),
    "Mixtral, split": ("MixtralForCausalLM", {**SMALL, "num_key_value_heads": 2, "num_local_experts": 4}),
    "GPT-2": ("GPT2LMHeadModel",
              {"vocab_size": 80, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 24}),
    "GPT-NeoX": ("GPTNeoXForCausalLM", SMALL),
    "BERT": ("BertForMaskedLM", SMALL),
    "ViT": ("ViTForImageClassification", {**PICTURES, "num_labels": 5}),
    "SigLIP": ("SiglipVisionModel", PICTURES),
}  # fmt: skip


def built(name: str) -> tuple[Arrays, dict[str, Any]]:
    """Weights, in the order in which the model is built, and the configuration, as a release states it."""
    import torch
    import transformers

    kind, settings = MODELS[name]
    torch.manual_seed(1)
    made = getattr(transformers, kind)
    model = made(made.config_class(**settings))
    seen: set[int] = set()
    arrays: Arrays = {}
    for key, value in model.state_dict().items():
        if value.data_ptr() not in seen and value.is_floating_point():
            seen.add(value.data_ptr())
            arrays[key] = value.numpy().astype(np.float32)
    return lived(arrays), json.loads(model.config.to_json_string(use_diff=False))


def lived(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """A little of what training leaves: biases that moved, except of keys; positions that change slowly."""
    rng = np.random.default_rng(2)
    new = {}
    for name, array in arrays.items():
        idle = re.search(r"(?:k_proj|key)\.bias", name)
        moved = array + (0 if idle else 0.02 * rng.standard_normal(array.shape))
        if "position" in name or "wpe" in name:
            moved = np.cumsum(rng.standard_normal(array.shape), axis=-2)
        new[name] = moved.astype(np.float32)
    return new


def split(arrays: Arrays) -> Arrays:
    """Experts one by one, as releases of Mixtral store them."""
    new: Arrays = {}
    for name, array in arrays.items():
        layer = name.split(".mlp.")[0]
        if "gate_up_proj" in name:
            down = arrays[name.replace("gate_up_proj", "down_proj")]
            for n, both in enumerate(array):
                gate, up = np.split(both, 2)
                for part, matrix in (("w1", gate), ("w2", down[n]), ("w3", up)):
                    new[f"{layer}.block_sparse_moe.experts.{n}.{part}.weight"] = matrix
        elif "experts.down_proj" not in name:
            new[name] = array
    return new


def made(name: str) -> tuple[Arrays, dict[str, Any]]:
    if name != "MiniCPM-V":
        arrays, config = built(name)
        return (split(arrays) if "split" in name else arrays), config
    from safetensors.numpy import load_file

    arrays = {n: a.astype(np.float32) for n, a in load_file(GOLDEN / "tiny_weights.safetensors").items()}
    return arrays, json.loads((GOLDEN / "tiny_config.json").read_text("utf-8"))


def scrambled(arrays: Arrays, alphabet: bool) -> tuple[ArraysStore, dict[str, str]]:
    """In the order of building or of the alphabet, and the true name of each."""
    rng = random.Random(4)
    true = {f"x{rng.getrandbits(48):012x}": n for n in (sorted(arrays) if alphabet else arrays)}
    return ArraysStore({new: arrays[old] for new, old in true.items()}), true


def told(tower: Tower) -> list[tuple[View | None, str, str]]:
    """Views, roles, labels."""
    found = [(tower.embedding, "embedding", ""), (tower.positions, "positions", "")]
    found += [(tower.head if tower.head != tower.embedding else None, "head", "")]
    found += [(v, "other", "") for v in tower.other]
    for b in tower.blocks:
        if (a := b.attention) is not None:
            fused = "qkv" if a.q.name == a.k.name else ""
            found += [(v, fused or r, b.label) for v, r in ((a.q, "q"), (a.k, "k"), (a.v, "v"))]
            found += [(a.o, "o", b.label)]
        for m in b.mlps:
            both = m.gate is not None and m.gate.name == m.up.name
            found += [(m.gate, "gate_up" if both else "gate", b.label), (m.down, "down", b.label)]
            found += [(m.up, "gate_up" if both else "up", b.label)]
        found += [(b.router, "router", b.label)]
    return found


def wrong(arrays: Arrays, roles: Roles, true: Mapping[str, str]) -> dict[str, set[str]]:
    """Matrices whose role is not the one that their names tell."""
    found: dict[str, set[str]] = {}
    for tower in roles.towers:
        for view, role, _ in told(tower):
            if view is not None:
                found.setdefault(true[view.name], set()).add(role)
    expected = {
        n: next((r for r, known in TRUE.items() if re.search(known, n)), "other")
        for n, a in arrays.items()
        if a.ndim > 1
    }
    return {n: found.get(n, set()) for n, r in expected.items() if found.get(n) != {r}}


@pytest.mark.parametrize("alphabet", [False, True])
@pytest.mark.parametrize("name", [*MODELS, "MiniCPM-V"])
def test_every_matrix_in_order_has_its_role(name: str, alphabet: bool) -> None:
    arrays, config = made(name)
    store, true = scrambled(arrays, alphabet)
    roles = find_roles(store, config)
    swapped = {"embedding"}, {"head"}
    tables = any(d.endswith("embedding and head") for d in roles.doubtful)
    assert not {n: r for n, r in wrong(arrays, roles, true).items() if not (tables and r in swapped)}
    assert all(b.attention is not None and b.mlps for b in roles.towers[0].blocks)


def test_norms_of_queries_and_keys() -> None:
    arrays, config = made("Qwen3")
    for alphabet in (False, True):
        store, true = scrambled(arrays, alphabet)
        for n, block in enumerate(find_roles(store, config).towers[0].blocks):
            attention = block.attention
            assert attention is not None
            assert (attention.heads, attention.groups, attention.size) == (4, 2, 16)
            for norm, part in ((attention.q_norm, "q_norm"), (attention.k_norm, "k_norm")):
                assert norm is not None
                assert true[norm.gain.name] == f"model.layers.{n}.self_attn.{part}.weight"


def test_three_towers_and_a_resampler_that_attends_across() -> None:
    arrays, config = made("MiniCPM-V")
    for alphabet in (False, True):
        store, true = scrambled(arrays, alphabet)
        towers = {t.kind: t for t in find_roles(store, config).towers}
        assert {k: (t.width, len(t.blocks)) for k, t in towers.items()} == {
            "decoder": (256, 2),
            "encoder": (48, 3),
            "resampler": (256, 1),
        }
        attention = towers["resampler"].blocks[0].attention
        assert attention is not None
        assert attention.cross
        assert {true[v.name] for v in attention.biases if v} == {
            "resampler.attn.in_proj_bias",
            "resampler.attn.out_proj.bias",
        }
        assert len(towers["resampler"].blocks[0].norms) == 3
        last = towers["decoder"].last
        assert last is not None
        assert true[last.gain.name] == "llm.model.norm.weight"


def test_adapters_are_pairs_beside_matrices() -> None:
    rng = np.random.default_rng(0)
    shapes = {"q_proj": (64, 64), "v_proj": (32, 64), "up_proj": (176, 64), "down_proj": (64, 176)}
    arrays: Arrays = {}
    for n in range(3):
        for part, (out, inn) in shapes.items():
            arrays[f"layers.{n}.{part}.lora_A.weight"] = rng.standard_normal((4, inn)).astype(np.float32)
            arrays[f"layers.{n}.{part}.lora_B.weight"] = rng.standard_normal((out, 4)).astype(np.float32)
    store, true = scrambled(arrays, False)
    roles = find_roles(store, {})
    pairs = [(true[a.name], true[b.name]) for a, b in roles.adapters]
    assert pairs == [
        (f"layers.{n}.{p}.lora_A.weight", f"layers.{n}.{p}.lora_B.weight") for n in range(3) for p in shapes
    ]
    assert not roles.left_over


def test_what_order_alone_decides_is_doubtful() -> None:
    """Of random weights nothing but order tells q from k, v from o, gate from up."""
    rng = np.random.default_rng(0)
    arrays, config = made("Llama, multi-head")
    noise = {n: a if a.ndim < 2 else 0.02 * rng.standard_normal(a.shape).astype(np.float32)
             for n, a in arrays.items()}  # fmt: skip
    store, _ = scrambled(noise, False)
    doubtful = find_roles(store, config).doubtful
    for doubt in ("q and k", "v and o", "gate and up"):
        assert {f"32.{n}: {doubt}" for n in range(3)} <= set(doubtful)
