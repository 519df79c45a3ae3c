"""Which layers are quantised, on the way in from a release or from a saved quantised form.

int8 and int4 take the linear layers of Llama-3; its output layer is int8 in both, since its rounding
reaches every token directly. nf4 takes what the official int4 release takes: all linear layers, those of
the vision tower too, except ``out_proj``, ``kv_proj`` and ``lm_head``. Everything else keeps the floating
type.

Saved forms are ordinary safetensors: a quantised weight's parts are named after it (``x.weight.int4``).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from apograph.findings import Json
from apograph.minicpmv.checkpoint import TOKENIZER, Checkpoint, load
from apograph.minicpmv.config import Reading
from apograph.minicpmv.model import Model
from apograph.minicpmv.nf4 import NF4Linear
from apograph.minicpmv.packed import GROUP, Int4Linear, Int8Linear
from apograph.minicpmv.store import Reader, tensor_source, write

Kind = Literal["int8", "int4", "nf4"]
_OFFICIAL_SKIP = re.compile(r"(^|\.)(out_proj|kv_proj|lm_head)\.")
Packed = Int8Linear | Int4Linear | NF4Linear


def wanted(name: str, module: nn.Module, kind: Kind) -> type[Packed] | None:
    """The class that replaces the layer of weight ``name``, if any."""
    if not isinstance(module, nn.Linear) or not name.endswith(".weight") or module.in_features % GROUP:
        return None
    if kind == "nf4":
        return None if _OFFICIAL_SKIP.search(name) or name.startswith("resampler.") else NF4Linear
    if not name.startswith("llm."):
        return None
    return Int8Linear if kind == "int8" or name.startswith("llm.lm_head.") else Int4Linear


def load_quantised(
    checkpoint: Checkpoint,
    kind: Kind,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cpu",
    reading: Reading = "original",
) -> Model:
    """Load a release and quantise it on the way: the peak is the quantised model plus one layer. Raises as
    ``load``."""

    def replace(model: Model, name: str, reader: Reader, theirs: str) -> bool:
        owner = name.rpartition(".")[0]
        module = model.get_submodule(owner)
        packed = wanted(name, module, kind)
        if packed is None:
            return False
        assert isinstance(module, nn.Linear)
        shape = (module.out_features, module.in_features)
        _swap(model, owner, packed.quantise(reader.pieces(theirs), shape, device))
        return True

    return load(checkpoint, dtype, device, reading, replace)


def _swap(model: Model, owner: str, layer: Packed) -> None:
    """Put a quantised layer in the place of a linear one; a bias follows when its own turn comes."""
    parent, _, leaf = owner.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer)


def load_saved(
    checkpoint: Checkpoint,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cpu",
    reading: Reading = "original",
) -> Model:
    """Load a form that :func:`save` wrote, or the official nf4 release. Raises as ``load``, and Refusal(3)
    when the parts of a weight do not fit it."""

    def replace(model: Model, name: str, reader: Reader, theirs: str) -> bool:
        start = f"{theirs}."
        owned = [key for key in reader.entries if key.startswith(start)]
        if not owned:
            return False
        owner = name.rpartition(".")[0]
        module = model.get_submodule(owner)
        assert isinstance(module, nn.Linear)
        parts = {key.removeprefix(start): reader.whole(key, device=device) for key in owned}
        shape = (module.out_features, module.in_features)
        if theirs in reader.entries:
            parts["weight"] = reader.whole(theirs, device=device)
        _swap(model, owner, _from_parts(parts, shape))
        return True

    return load(checkpoint, dtype, device, reading, replace)


def _from_parts(parts: Mapping[str, torch.Tensor], shape: tuple[int, int]) -> Packed:
    """A layer from what a file holds of it, checked: an untrusted file may hold anything."""
    n, k = shape
    forms = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in parts.items()}
    if forms == {"int8": (torch.int8, shape), "scale": (torch.bfloat16, (n,))}:
        return Int8Linear(parts["int8"], parts["scale"])
    if forms == {"int4": (torch.uint8, (n, k // 2)), "steps": (torch.bfloat16, (k // GROUP, n, 2))}:
        return Int4Linear(parts["int4"], parts["steps"])
    return NF4Linear(parts, shape)


def save(model: Model, folder: Path, tokenizer: Path | None = None) -> None:
    """Write the quantised form: config.json, model.safetensors and, if given, the tokenizer file."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for owner, module in model.named_modules():
        if isinstance(module, Packed):
            for part, tensor in module.parts().items():
                sources.append(tensor_source(f"{owner}.weight" + (f".{part}" if part else ""), tensor))
        for name, parameter in module.named_parameters(recurse=False):
            sources.append(tensor_source(f"{owner}.{name}" if owner else name, parameter))
    write(folder / "model.safetensors", sources)
    config: Mapping[str, Json] = model.config.to_json()
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    if tokenizer is not None:
        shutil.copyfile(tokenizer, folder / TOKENIZER)
