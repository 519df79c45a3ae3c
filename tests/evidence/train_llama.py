"""A small Llama-shaped language model, trained for some seconds on the text of the standard library."""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from apograph.lab.founding.weights import Array

HIDDEN, INNER, HEADS, GROUPS, LAYERS, LENGTH, BATCH = 48, 96, 4, 2, 2, 48, 8
SIZE = HIDDEN // HEADS
NORMS = ("input", "post_attention")
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": GROUPS,
    "rms_norm_eps": 1e-6,
}


@cache
def text() -> np.ndarray[Any, Any]:
    return np.frombuffer(Path(argparse.__file__).read_bytes(), np.uint8).astype(np.int64)


def initial(seed: int) -> dict[str, Array]:
    """Weights as a Llama's initialiser draws them."""
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> Array:
        return (random.standard_normal(shape) * HIDDEN**-0.5).astype(np.float32)

    weights = {"model.embed_tokens.weight": drawn(256, HIDDEN)}
    for n in range(LAYERS):
        at = f"model.layers.{n}."
        weights |= {
            f"{at}{p}_layernorm.weight": np.ones(HIDDEN, np.float32) for p in ("input", "post_attention")
        }
        weights |= {f"{at}self_attn.{p}_proj.weight": drawn(HIDDEN, HIDDEN) for p in "qo"}
        weights |= {f"{at}self_attn.{p}_proj.weight": drawn(GROUPS * SIZE, HIDDEN) for p in "kv"}
        weights |= {f"{at}mlp.{p}_proj.weight": drawn(INNER, HIDDEN) for p in ("gate", "up")}
        weights[f"{at}mlp.down_proj.weight"] = drawn(HIDDEN, INNER)
    return weights | {"model.norm.weight": np.ones(HIDDEN, np.float32), "lm_head.weight": drawn(256, HIDDEN)}


def logits(weights: dict[str, Any], ids: Any) -> Any:
    """[batch, length, 256] for byte ids [batch, length]."""
    import torch
    from torch.nn import functional as f

    def norm(x: Any, gain: Any) -> Any:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain

    place = torch.arange(ids.shape[1])[:, None]
    angle = torch.cat([place * 10000.0 ** (-torch.arange(0, SIZE, 2) / SIZE)] * 2, -1)

    def turned(x: Any) -> Any:
        half = torch.cat([-x[..., SIZE // 2 :], x[..., : SIZE // 2]], -1)
        return x * angle.cos() + half * angle.sin()

    x = weights["model.embed_tokens.weight"][ids]
    for n in range(LAYERS):
        at = f"model.layers.{n}."
        y = norm(x, weights[f"{at}input_layernorm.weight"])
        q, k, v = (
            (y @ weights[f"{at}self_attn.{p}_proj.weight"].T).unflatten(-1, (-1, SIZE)).transpose(1, 2)
            for p in "qkv"
        )
        k, v = (t.repeat_interleave(HEADS // GROUPS, 1) for t in (turned(k), v))
        seen = f.scaled_dot_product_attention(turned(q), k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + seen @ weights[f"{at}self_attn.o_proj.weight"].T
        y = norm(x, weights[f"{at}post_attention_layernorm.weight"])
        inner = f.silu(y @ weights[f"{at}mlp.gate_proj.weight"].T) * (
            y @ weights[f"{at}mlp.up_proj.weight"].T
        )
        x = x + inner @ weights[f"{at}mlp.down_proj.weight"].T
    return norm(x, weights["model.norm.weight"]) @ weights["lm_head.weight"].T


def trained(
    start: dict[str, Array], steps: int, order: int = 0, rate: float = 3e-3
) -> tuple[dict[str, Array], float]:
    """The weights after ``steps`` of AdamW and the last loss. ``order`` seeds the batches alone."""
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(1)
    weights = {n: torch.tensor(v, requires_grad=True) for n, v in start.items()}
    optimiser = torch.optim.AdamW(weights.values(), lr=3e-3, weight_decay=0.01)
    random = np.random.default_rng(order)
    loss = torch.zeros(())
    for _ in range(steps):
        at = random.integers(0, len(text()) - LENGTH - 1, BATCH)
        batch = torch.tensor(np.stack([text()[n : n + LENGTH + 1] for n in at]))
        loss = f.cross_entropy(logits(weights, batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {n: v.detach().numpy() for n, v in weights.items()}, float(loss.detach())
