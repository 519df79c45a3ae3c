"""A tiny Llama with a roles graph, disguises of it that change no logit, and what it answers."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Block, Mlp, Norm, Roles, Tower, View

Array: TypeAlias = NDArray[Any]
Weights: TypeAlias = dict[str, Array]

WIDTH, INNER, HEADS, GROUPS, LAYERS, VOCABULARY = 128, 256, 8, 4, 3, 600
SIZE = WIDTH // HEADS
READERS = (
    ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
)
WRITERS = ("self_attn.o_proj", "mlp.down_proj")


def weights(seed: int, tied: bool = False) -> Weights:
    """Initial weights, gains drawn around 1, a vocabulary whose rows have many lengths as trained ones do."""
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> Array:
        return random.standard_normal(shape) * 0.1

    made = {"model.embed_tokens.weight": drawn(VOCABULARY, WIDTH) * random.uniform(0.3, 3, (VOCABULARY, 1))}
    for n in range(LAYERS):
        at = f"model.layers.{n}."
        made |= {f"{at}self_attn.{p}_proj.weight": drawn(WIDTH, WIDTH) for p in "qo"}
        made |= {f"{at}self_attn.{p}_proj.weight": drawn(GROUPS * SIZE, WIDTH) for p in "kv"}
        made |= {f"{at}mlp.{p}_proj.weight": drawn(INNER, WIDTH) for p in ("gate", "up")}
        made[f"{at}mlp.down_proj.weight"] = drawn(WIDTH, INNER)
        for norm, _ in READERS:
            made[f"{at}{norm}.weight"] = random.uniform(0.5, 1.5, WIDTH)
    made["model.norm.weight"] = random.uniform(0.5, 1.5, WIDTH)
    if not tied:
        made["lm_head.weight"] = drawn(VOCABULARY, WIDTH)
    return made


def roles(made: Weights, heads: int = HEADS, groups: int = GROUPS) -> Roles:
    """The graph, by hand."""
    at = {n.rsplit(".", 1)[0]: View(n) for n in made}
    blocks = []
    for n in sorted({int(k.split(".")[2]) for k in made if ".layers." in k}):
        base = f"model.layers.{n}"
        one, two = (Norm(at[f"{base}.{norm}"]) for norm, _ in READERS)
        q, k, v, o = (at[f"{base}.self_attn.{p}_proj"] for p in "qkvo")
        gate, up, down = (at[f"{base}.mlp.{p}_proj"] for p in ("gate", "up", "down"))
        blocks.append(
            Block(
                base,
                Attention(q, k, v, o, heads, groups, SIZE, "half"),
                (Mlp(up, down, gate),),
                None,
                one,
                two,
                (one, two),
            )
        )
    embedding = at["model.embed_tokens"]
    head = at.get("lm_head", embedding)
    return Roles(
        (Tower("model", "decoder", WIDTH, tuple(blocks), embedding, head, None, Norm(at["model.norm"])),)
    )


@cache
def _model(inner: int, heads: int, groups: int, layers: int, vocabulary: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=groups, head_dim=SIZE, tie_word_embeddings=False,
        attn_implementation="eager",
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


def logits(made: Weights, ids: Array) -> Array:
    """[1, length, vocabulary] of the real architecture, in float64."""
    import torch

    inner = made["model.layers.0.mlp.up_proj.weight"].shape[0]
    heads, groups = (made[f"model.layers.0.self_attn.{p}_proj.weight"].shape[0] // SIZE for p in "qk")
    layers = len({n.split(".")[2] for n in made if ".layers." in n})
    model = _model(inner, heads, groups, layers, len(made["model.embed_tokens.weight"]))
    state = {"lm_head.weight": made["model.embed_tokens.weight"], **made}
    model.load_state_dict({n: torch.tensor(np.asarray(v, np.float64)) for n, v in state.items()})
    with torch.no_grad():
        return np.asarray(model(torch.tensor(ids)[None]).logits)


def layers_of(made: Weights) -> list[str]:
    return [f"model.layers.{n}." for n in sorted({int(k.split(".")[2]) for k in made if ".layers." in k})]


def units_permuted(made: Weights, random: np.random.Generator) -> Weights:
    made = dict(made)
    for at in layers_of(made):
        order = random.permutation(INNER)
        for p in ("gate", "up"):
            made[f"{at}mlp.{p}_proj.weight"] = made[f"{at}mlp.{p}_proj.weight"][order]
        made[f"{at}mlp.down_proj.weight"] = made[f"{at}mlp.down_proj.weight"][:, order]
    return made


def units_scaled(made: Weights, random: np.random.Generator, signs_only: bool = False) -> Weights:
    made = dict(made)
    for at in layers_of(made):
        factor = random.choice([-1.0, 1.0], INNER)
        factor = factor if signs_only else factor * np.exp(random.uniform(-1, 1, INNER))
        made[f"{at}mlp.up_proj.weight"] = made[f"{at}mlp.up_proj.weight"] * factor[:, None]
        made[f"{at}mlp.down_proj.weight"] = made[f"{at}mlp.down_proj.weight"] / factor
    return made


def units_flipped(made: Weights, random: np.random.Generator) -> Weights:
    return units_scaled(made, random, True)


def _headwise(matrix: Array, order: Array) -> Array:
    return matrix.reshape(len(order), -1, matrix.shape[1])[order].reshape(matrix.shape)


def heads_permuted(made: Weights, random: np.random.Generator) -> Weights:
    made = dict(made)
    shared = HEADS // GROUPS
    for at in layers_of(made):
        groups = random.permutation(GROUPS)
        heads = np.concatenate([g * shared + random.permutation(shared) for g in groups])
        for p, order in (("q", heads), ("k", groups), ("v", groups)):
            made[f"{at}self_attn.{p}_proj.weight"] = _headwise(made[f"{at}self_attn.{p}_proj.weight"], order)
        o = made[f"{at}self_attn.o_proj.weight"]
        made[f"{at}self_attn.o_proj.weight"] = _headwise(o.T, heads).T
    return made


def values_mixed(made: Weights, random: np.random.Generator) -> Weights:
    """Any invertible map of the dimensions of every value head."""
    made = dict(made)
    for at in layers_of(made):
        v, o = (made[f"{at}self_attn.{p}_proj.weight"] for p in "vo")
        v, o = v.reshape(GROUPS, SIZE, -1).copy(), o.reshape(-1, HEADS, SIZE).copy()
        for g in range(GROUPS):
            n = random.standard_normal((SIZE, SIZE)) + 2 * np.eye(SIZE)
            v[g] = n @ v[g]
            for h in range(g * HEADS // GROUPS, (g + 1) * HEADS // GROUPS):
                o[:, h] = o[:, h] @ np.linalg.inv(n)
        made[f"{at}self_attn.v_proj.weight"] = v.reshape(GROUPS * SIZE, -1)
        made[f"{at}self_attn.o_proj.weight"] = o.reshape(-1, HEADS * SIZE)
    return made


def planes_turned(made: Weights, random: np.random.Generator) -> Weights:
    """Every rotary plane of q and k turned and rescaled."""
    made = dict(made)
    half = SIZE // 2
    for at in layers_of(made):
        q, k = (made[f"{at}self_attn.{p}_proj.weight"] for p in "qk")
        q, k = q.reshape(GROUPS, -1, 2, half, WIDTH), k.reshape(GROUPS, 1, 2, half, WIDTH)
        angle, factor = random.uniform(0, 6.3, (GROUPS, half)), np.exp(random.uniform(-1, 1, (GROUPS, half)))
        cos, sin, factor = (x[:, None, :, None] for x in (np.cos(angle), np.sin(angle), factor))

        def turned(x: Array, cos: Array = cos, sin: Array = sin) -> Array:
            one, two = x[:, :, 0], x[:, :, 1]
            return np.stack([cos * one - sin * two, sin * one + cos * two], 2)

        made[f"{at}self_attn.q_proj.weight"] = (turned(q) * factor[:, :, None]).reshape(-1, WIDTH)
        made[f"{at}self_attn.k_proj.weight"] = (turned(k) / factor[:, :, None]).reshape(-1, WIDTH)
    return made


def gains_folded(made: Weights, random: np.random.Generator | None = None) -> Weights:
    made = {"lm_head.weight": made["model.embed_tokens.weight"], **made}
    for at in layers_of(made):
        for norm, readers in READERS:
            for reader in readers:
                made[f"{at}{reader}.weight"] = made[f"{at}{reader}.weight"] * made[f"{at}{norm}.weight"]
            made[f"{at}{norm}.weight"] = np.ones(WIDTH)
    made["lm_head.weight"] = made["lm_head.weight"] * made["model.norm.weight"]
    made["model.norm.weight"] = np.ones(WIDTH)
    return made


def rotated(made: Weights, random: np.random.Generator) -> Weights:
    """Gains folded, the residual stream turned by an orthogonal matrix."""
    turn = np.linalg.qr(random.standard_normal((WIDTH, WIDTH)))[0]
    return in_basis(gains_folded(made), turn)


def channels_permuted(made: Weights, random: np.random.Generator) -> Weights:
    """Residual channels permuted and flipped, gains with them."""
    order = random.permutation(WIDTH)
    turn = np.eye(WIDTH)[:, order] * random.choice([-1.0, 1.0], WIDTH)
    made = in_basis(made, turn)
    return {n: v[order] if v.ndim == 1 else v for n, v in made.items()}


def in_basis(made: Weights, turn: Array) -> Weights:
    return {
        n: v if v.ndim == 1 else turn.T @ v if any(w in n for w in WRITERS) else v @ turn
        for n, v in made.items()
    }


def renumbered(made: Weights, random: np.random.Generator) -> Weights:
    order = random.permutation(VOCABULARY)
    return {n: v[order] if len(v) == VOCABULARY and v.ndim == 2 else v for n, v in made.items()}


def noised(made: Weights, random: np.random.Generator, sigma: float = 0.02) -> Weights:
    return {n: v + sigma * random.standard_normal(v.shape) if v.ndim > 1 else v for n, v in made.items()}


LOSSLESS = {
    f.__name__: f
    for f in (
        units_permuted, units_flipped, units_scaled, heads_permuted, values_mixed, planes_turned,
        gains_folded, rotated, channels_permuted,
    )
}  # fmt: skip


def everything(made: Weights, random: np.random.Generator) -> Weights:
    """All lossless disguises, one after the other."""
    for change in (
        units_permuted, units_scaled, heads_permuted, values_mixed, planes_turned, channels_permuted, rotated,
    ):  # fmt: skip
        made = change(made, random)
    return made


def stored(made: Weights) -> Weights:
    return {n: v.astype(np.float32) for n, v in made.items()}
