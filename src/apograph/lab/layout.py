"""The true role graph of a lab model, from its family's known names: what others must find without names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Block, Mlp, Norm, Roles, Tower, View
from apograph.lab.families import Config
from apograph.lab.model import Model

Matrix = NDArray[np.float32]


def number(config: Config, key: str) -> int:
    """A whole number of the configuration."""
    return int(cast(int, config[key]))


def tower_of(model: Model) -> Tower:
    """The one tower of a Llama-like, GPT-2-like or BERT-like model under its family's own names."""
    return _TOWERS[str(model.config["model_type"])](model.config)


def roles_of(model: Model) -> Roles:
    """The role graph; ``left_over`` names what plays no part in a block (the heads of BERT, type tables)."""
    tower = tower_of(model)
    told = {view.name for view in views(tower)}
    return Roles((tower,), left_over=tuple(name for name in model.weights if name not in told))


def views(tower: Tower) -> list[View]:
    """Every view of a tower, norms and biases among them, tied ones once."""
    found: list[View | None] = [tower.embedding, tower.head, tower.positions, *tower.other]
    norms = [tower.last]
    for block in tower.blocks:
        norms += block.norms
        for m in block.mlps:
            found += [m.gate, m.up, m.down, m.up_bias, m.down_bias]
        if block.attention is not None:
            a = block.attention
            found += [a.q, a.k, a.v, a.o, *a.biases]
    found += [v for norm in norms if norm is not None for v in (norm.gain, norm.bias)]
    return list(dict.fromkeys(v for v in found if v is not None))


def read(weights: Mapping[str, NDArray[Any]], view: View) -> Matrix:
    """A copy of what a view shows: [out, in] or [out]."""
    array = weights[view.name]
    turned: Matrix = (array.T if view.turned else array)[view.start : view.stop].copy()
    return turned


def write(weights: Mapping[str, NDArray[Any]], view: View, matrix: Matrix) -> None:
    """Put ``matrix`` where the view shows; the array itself is changed."""
    array = weights[view.name]
    (array.T if view.turned else array)[view.start : view.stop] = matrix


def _llama(config: Config) -> Tower:
    def block(n: int) -> Block:
        at = f"model.layers.{n}."
        q, k, v, o = (View(f"{at}self_attn.{p}_proj.weight") for p in "qkvo")
        gate, up, down = (View(f"{at}mlp.{p}_proj.weight") for p in ("gate", "up", "down"))
        before, after = (Norm(View(f"{at}{p}_layernorm.weight")) for p in ("input", "post_attention"))
        heads, groups = number(config, "num_attention_heads"), number(config, "num_key_value_heads")
        attention = Attention(q, k, v, o, heads, groups, number(config, "hidden_size") // heads, "half")
        mlp = Mlp(up, down, gate)
        return Block(at, attention, (mlp,), None, before, after, (before, after))

    return Tower(
        "model",
        "decoder",
        number(config, "hidden_size"),
        tuple(block(n) for n in range(number(config, "num_hidden_layers"))),
        View("model.embed_tokens.weight"),
        View("lm_head.weight"),
        last=Norm(View("model.norm.weight")),
    )


def _norm(stem: str) -> Norm:
    return Norm(View(f"{stem}.weight"), View(f"{stem}.bias"), "layer")


def _gpt2(config: Config) -> Tower:
    width, heads = number(config, "n_embd"), number(config, "n_head")

    def block(n: int) -> Block:
        at = f"transformer.h.{n}."
        fused, out = f"{at}attn.c_attn", f"{at}attn.c_proj"
        q, k, v = (View(f"{fused}.weight", i * width, (i + 1) * width, turned=True) for i in range(3))
        biases = tuple(View(f"{fused}.bias", i * width, (i + 1) * width) for i in range(3))
        attention = Attention(
            q, k, v, View(f"{out}.weight", turned=True), heads, heads, width // heads, "none",
            (*biases, View(f"{out}.bias")),  # type: ignore[arg-type]
        )  # fmt: skip
        mlp = Mlp(
            View(f"{at}mlp.c_fc.weight", turned=True),
            View(f"{at}mlp.c_proj.weight", turned=True),
            up_bias=View(f"{at}mlp.c_fc.bias"),
            down_bias=View(f"{at}mlp.c_proj.bias"),
        )
        before, after = _norm(f"{at}ln_1"), _norm(f"{at}ln_2")
        return Block(at, attention, (mlp,), None, before, after, (before, after))

    words = View("transformer.wte.weight")
    blocks = tuple(block(n) for n in range(number(config, "n_layer")))
    return Tower(
        "transformer", "decoder", width, blocks, words, words, View("transformer.wpe.weight"),
        _norm("transformer.ln_f"),
    )  # fmt: skip


def _bert(config: Config) -> Tower:
    width, heads = number(config, "hidden_size"), number(config, "num_attention_heads")

    def block(n: int) -> Block:
        at = f"bert.encoder.layer.{n}."
        stems = [f"{at}attention.self.{p}" for p in ("query", "key", "value")]
        stems.append(f"{at}attention.output.dense")
        biases = cast(Any, tuple(View(f"{s}.bias") for s in stems))
        q, k, v, o = (View(f"{s}.weight") for s in stems)
        attention = Attention(q, k, v, o, heads, heads, width // heads, "none", biases)
        up, down = f"{at}intermediate.dense", f"{at}output.dense"
        mlp = Mlp(
            View(f"{up}.weight"),
            View(f"{down}.weight"),
            up_bias=View(f"{up}.bias"),
            down_bias=View(f"{down}.bias"),
        )
        first, second = _norm(f"{at}attention.output.LayerNorm"), _norm(f"{at}output.LayerNorm")
        return Block(at, attention, (mlp,), None, None, None, (first, second))

    words = View("bert.embeddings.word_embeddings.weight")
    return Tower(
        "bert",
        "encoder",
        width,
        tuple(block(n) for n in range(number(config, "num_hidden_layers"))),
        words,
        words,
        View("bert.embeddings.position_embeddings.weight"),
        _norm("bert.embeddings.LayerNorm"),
        (View("bert.embeddings.token_type_embeddings.weight"),),
    )


_TOWERS: Mapping[str, Callable[[Config], Tower]] = {"llama": _llama, "gpt2": _gpt2, "bert": _bert}
