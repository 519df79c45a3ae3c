"""Export to GGUF for llama.cpp: the language model in one file, vision tower and resampler in another
("mmproj").

    python -m apograph.minicpmv.gguf_export MODEL --out DIR [--type Q8_0]

Names and keys follow what llama.cpp's own converters write for this model (projector "resampler", version
2). Rows of the query and key projections are reordered, since llama.cpp rotates neighbouring pairs where
transformers rotates halves. Tensors are written one at a time. llama.cpp places patches in two dimensions
(reading "two-d"), so its answers are not those of the published code; and the files were read back here,
but not run in llama.cpp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from apograph.minicpmv.checkpoint import TOKENIZER, Checkpoint
from apograph.minicpmv.config import Config
from apograph.minicpmv.resampler import sincos_positions
from apograph.release.json_text import parse_json

Array = NDArray[Any]
TYPES = ("F16", "Q8_0", "Q4_0")
_LLM = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
# llama.cpp calls the first layer of this feed-forward "down" and the second "up".
_VISION = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn_down",
    "mlp.fc2": "ffn_up", "embeddings.patch_embedding": "patch_embd",
    "embeddings.position_embedding": "position_embd", "post_layernorm": "post_ln",
}  # fmt: skip
_RESAMPLER = {"kv_proj": "kv", "attn.out_proj": "attn.out"}


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor of a GGUF file: its name there, its shape, whether it may be quantised, and its values."""

    name: str
    shape: tuple[int, ...]
    matrix: bool
    values: Callable[[], Array]


def llm_name(name: str) -> str:
    """llama.cpp's name for a tensor below ``llm.``"""
    layer = re.fullmatch(r"llm\.model\.layers\.(\d+)\.(.+)\.weight", name)
    if layer:
        return f"blk.{layer[1]}.{_LLM[layer[2]]}.weight"
    return _LLM[name.removeprefix("llm.").removesuffix(".weight")] + ".weight"


def vision_name(name: str) -> str:
    """llama.cpp's name for a tensor below ``vpm.``"""
    stem, _, kind = name.removeprefix("vpm.").rpartition(".")
    layer = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", stem)
    return f"v.blk.{layer[1]}.{_VISION[layer[2]]}.{kind}" if layer else f"v.{_VISION[stem]}.{kind}"


def pairs_from_halves(weight: Array, heads: int) -> Array:
    """The rows (heads * d, K) of a projection in the order that a rotation of neighbouring pairs wants: row i
    of a head's first half is followed by row i of its second."""
    split = weight.reshape(heads, 2, -1, weight.shape[-1])  # (H, half, d / 2, K)
    return split.swapaxes(1, 2).reshape(weight.shape)


def llm_plan(checkpoint: Checkpoint) -> Iterator[Planned]:
    """The language model's tensors."""
    config = checkpoint.config
    for name, theirs in sorted(checkpoint.spelling.items()):
        if name.startswith("llm."):
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
            turned = heads.get(name.split(".")[-2])
            shape = checkpoint.reader.entries[theirs].shape or ()

            def values(theirs: str = theirs, turned: int | None = turned) -> Array:
                weight = _array(checkpoint, theirs)
                return weight if turned is None else pairs_from_halves(weight, turned)

            yield Planned(llm_name(name), shape, len(shape) == 2, values)


def vision_plan(checkpoint: Checkpoint) -> Iterator[Planned]:
    """The tensors of the vision tower and the resampler. Positions of the resampler are stored, for 70 x
    70."""
    config, d = checkpoint.config, checkpoint.config.hidden_size
    for name, theirs in sorted(checkpoint.spelling.items()):
        shape = checkpoint.reader.entries[theirs].shape or ()
        if name.startswith("vpm."):
            yield Planned(vision_name(name), shape, len(shape) == 2, lambda t=theirs: _array(checkpoint, t))  # type: ignore[misc]
        elif name.startswith("resampler.attn.in_proj_"):
            kind = name.rpartition("_")[2]
            for n, part in enumerate("qkv"):

                def third(theirs: str = theirs, n: int = n) -> Array:
                    return _array(checkpoint, theirs)[n * d : (n + 1) * d]

                yield Planned(f"resampler.attn.{part}.{kind}", (d, *shape[1:]), len(shape) == 2, third)
        elif name == "resampler.proj":
            # Stored for x @ proj; a linear layer wants the transpose.
            yield Planned("resampler.proj.weight", shape, True, lambda t=theirs: _array(checkpoint, t).T)  # type: ignore[misc]
        elif name.startswith("resampler."):
            stem, _, kind = name.removeprefix("resampler.").rpartition(".")
            new = f"{_RESAMPLER.get(stem, stem)}.{kind}" if stem else kind
            matrix = len(shape) == 2 and kind == "weight"
            yield Planned(f"resampler.{new}", shape, matrix, lambda t=theirs: _array(checkpoint, t))  # type: ignore[misc]
    side = config.position_side
    table = sincos_positions(d, side, side).flatten(0, 1)
    yield Planned("resampler.pos_embed_k", tuple(table.shape), False, table.numpy)


def _array(checkpoint: Checkpoint, theirs: str) -> Array:
    array: Array = checkpoint.reader.whole(theirs, torch.float32).numpy()
    return array


def export(checkpoint: Checkpoint, out: Path, kind: str = "F16") -> tuple[Path, Path]:
    """Write ``model-KIND.gguf`` and ``mmproj-F16.gguf``. Only matrices whose rows are whole blocks are
    quantised."""
    import gguf

    out.mkdir(parents=True, exist_ok=True)
    model, projector = out / f"model-{kind}.gguf", out / "mmproj-F16.gguf"
    writer = gguf.GGUFWriter(model, "llama")
    _describe_llm(writer, checkpoint.config)
    tokenizer = parse_json((checkpoint.folder / TOKENIZER).read_bytes(), TOKENIZER)
    assert isinstance(tokenizer, dict)
    _describe_tokenizer(writer, tokenizer, checkpoint.config.vocab_size)
    _write(writer, list(llm_plan(checkpoint)), kind)
    writer = gguf.GGUFWriter(projector, "clip")
    _describe_vision(writer, checkpoint.config)
    _write(writer, list(vision_plan(checkpoint)), "F16")
    return model, projector


def _describe_llm(writer: Any, config: Config) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)


def _describe_tokenizer(writer: Any, tokenizer: Mapping[str, Any], size: int) -> None:
    """The byte-level BPE of Llama-3, ids that no token has filled up to the model's ``size``."""
    import gguf

    model = tokenizer["model"]
    tokens = [f"[PAD{n}]" for n in range(size)]
    types = [int(gguf.TokenType.UNUSED)] * size
    for token, id_ in model["vocab"].items():
        tokens[id_], types[id_] = token, int(gguf.TokenType.NORMAL)
    ids = {}
    for added in tokenizer["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], int(kind)
        ids[added["content"]] = added["id"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(ids["<|begin_of_text|>"])
    writer.add_eos_token_id(ids["<|end_of_text|>"])
    writer.add_eot_token_id(ids["<|eot_id|>"])
    writer.add_unk_token_id(ids["<unk>"])


def _describe_vision(writer: Any, config: Config) -> None:
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_minicpmv_projector", True)
    writer.add_file_type(1)  # mostly F16
    writer.add_string("clip.projector_type", "resampler")
    writer.add_int32("clip.minicpmv_version", 2)
    for key, value in (
        ("clip.vision.image_size", config.scale_resolution),
        ("clip.vision.patch_size", config.patch_size),
        ("clip.vision.embedding_length", config.vision_hidden_size),
        ("clip.vision.feed_forward_length", config.vision_intermediate_size),
        ("clip.vision.projection_dim", 0),
        ("clip.vision.attention.head_count", config.vision_heads),
        ("clip.vision.block_count", config.vision_layers),
        ("clip.minicpmv_query_num", config.query_num),
    ):
        writer.add_uint32(key, value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    writer.add_bool("clip.use_gelu", True)


def _write(writer: Any, planned: list[Planned], kind: str) -> None:
    """Header and descriptions first, then the values one tensor at a time."""
    import gguf

    for tensor in planned:
        form = _form(tensor, kind)
        shape = gguf.quant_shape_to_byte_shape(tensor.shape, form) if form > 1 else tensor.shape
        size = int(np.prod(shape)) * (1 if form > 1 else 4 - 2 * int(form))
        dtype = np.dtype(np.uint8 if form > 1 else (np.float16 if form == 1 else np.float32))
        writer.add_tensor_info(tensor.name, shape, dtype, size, form if form > 1 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in planned:
        values = np.ascontiguousarray(tensor.values(), dtype=np.float32)
        writer.write_tensor_data(gguf.quants.quantize(values, _form(tensor, kind)))
    writer.close()


def _form(tensor: Planned, kind: str) -> Any:
    """The GGML type of a tensor: vectors and positions stay F32; patches and short rows are F16 at best."""
    import gguf

    if not tensor.matrix:
        return gguf.GGMLQuantizationType.F16 if len(tensor.shape) == 4 else gguf.GGMLQuantizationType.F32
    form = gguf.GGMLQuantizationType[kind]
    block = gguf.GGML_QUANT_SIZES[form][0]
    return form if tensor.shape[-1] % block == 0 else gguf.GGMLQuantizationType.F16


def main() -> None:
    """Parse the command line and export."""
    import argparse

    from apograph.minicpmv.checkpoint import open_checkpoint

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--type", default="F16", choices=TYPES)
    given = parser.parse_args()
    print(json.dumps([str(path) for path in export(open_checkpoint(given.model), given.out, given.type)]))


if __name__ == "__main__":
    main()
