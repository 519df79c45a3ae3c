"""How the child is stored: other names, types, quantised layouts, GGUF. These steps come last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apograph.lab.derive import Manipulation, Work
from apograph.lab.derive.quantisers import QUANTISERS
from apograph.lab.derive.values import in_blocks
from apograph.lab.layout import number
from apograph.lab.model import Model

NAMES = (
    (r"^(model|transformer|bert)\.", "text."),
    (r"\.(layers|h|encoder\.layer)\.", ".blocks."),
    (r"\.(self_attn|attn|attention\.self)\.", ".mixer."),
    (r"\.attention\.output\.", ".mixer.out."),
    (r"\.mlp\.", ".ffn."),
    (r"(embed_tokens|wte|word_embeddings)", "words"),
    (r"\b(q_proj|query)\b", "wq"),
    (r"\b(k_proj|key)\b", "wk"),
    (r"\b(v_proj|value)\b", "wv"),
    (r"\b(o_proj)\b", "wo"),
    (r"\b(up_proj|c_fc|intermediate\.dense)\b", "expand"),
    (r"\b(down_proj)\b", "contract"),
    (r"\b(input_layernorm|ln_1)\b", "norm_a"),
    (r"\b(post_attention_layernorm|ln_2)\b", "norm_b"),
)
"""Another vocabulary of names, rule by rule."""


def new_name(name: str) -> str:
    """What "renamed" calls a tensor."""
    for pattern, new in NAMES:
        name = re.sub(pattern, new, name)
    return name


def renamed(work: Work) -> None:
    """Every tensor under another name, the configuration under another architecture's."""
    names = {new_name(n): n for n in work.model.weights}
    assert len(names) == len(work.model.weights)
    work.facts["names"] = dict(names)

    def change(model: Model) -> Model:
        weights = {new_name(n): a for n, a in model.weights.items()}
        return model.using(weights, model_type="scriptorium", architectures=["ScriptoriumForText"])

    work.stored.append(change)


def cast(work: Work, dtype: str) -> None:
    """Every tensor in "bfloat16" or "float16"."""
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)

    def change(model: Model) -> Model:
        return model.using({n: a.astype(kind) for n, a in model.weights.items()}, dtype=dtype)

    work.stored.append(change)


def quantised(work: Work, kind: str) -> None:
    """The matrices of the blocks in one of ``QUANTISERS``, the rest in float16."""
    pack, described = QUANTISERS[kind]

    def change(model: Model) -> Model:
        weights: dict[str, Any] = {}
        for name, array in model.weights.items():
            if name in chosen:
                weights |= pack(name.removesuffix(".weight"), array)
            else:
                weights[name] = array.astype(np.float16)
        return model.using(weights, quantization_config=dict(described))

    chosen = in_blocks(work.model.weights)
    work.stored.insert(0, change)  # a new name goes to the packed tensors too


def in_gguf(work: Work, kind: str) -> None:
    """One GGUF file under llama.cpp's names; matrices in ``kind`` ("Q8_0", "Q4_0"), the rest in F32; rows of
    q and k in llama.cpp's order of rotated pairs. Llama-like only."""

    def write(model: Model, folder: Path) -> None:
        import gguf

        config, width = model.config, number(model.config, "hidden_size")
        heads = {
            "q_proj": number(config, "num_attention_heads"),
            "k_proj": number(config, "num_key_value_heads"),
        }
        layers = number(config, "num_hidden_layers")
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
        folder.mkdir(parents=True)
        writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
        writer.add_block_count(layers)
        writer.add_embedding_length(width)
        writer.add_head_count(heads["q_proj"])
        writer.add_head_count_kv(heads["k_proj"])
        packed = gguf.GGMLQuantizationType[kind]
        for name, array in model.weights.items():
            new = names.get_name(name, try_suffixes=(".weight",))
            turned = heads.get(name.split(".")[-2])
            if turned is not None:
                array = array.reshape(turned, 2, -1, width).swapaxes(1, 2).reshape(array.shape)
            if array.ndim == 2:
                writer.add_tensor(new, gguf.quants.quantize(array, packed), raw_dtype=packed)
            else:
                writer.add_tensor(new, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    work.write = write


MANIPULATIONS: Mapping[str, Manipulation] = {
    "renamed": renamed,
    "cast": cast,
    "quantised": quantised,
    "GGUF": in_gguf,
}
