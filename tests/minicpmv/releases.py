"""Small releases written to disk: the golden weights in any spelling, precision and number of shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from apograph.findings import Json
from apograph.minicpmv.store import tensor_source, write

GOLDEN = Path(__file__).parent / "golden"


def write_release(
    folder: Path,
    weights: dict[str, torch.Tensor],
    rename: Callable[[str], str] = str,
    dtype: torch.dtype = torch.float32,
    shards: int = 1,
    drop: tuple[str, ...] = (),
) -> Path:
    """A folder in the Hugging Face layout; ``drop`` leaves keys out of config.json."""
    folder.mkdir(parents=True)
    config: dict[str, Json] = json.loads((GOLDEN / "tiny_config.json").read_text("utf-8"))
    config["model_type"] = "minicpmv"
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in drop}))
    shutil.copy(GOLDEN / "tiny_tokenizer.json", folder / "tokenizer.json")
    items = [(rename(name), tensor.to(dtype)) for name, tensor in weights.items()]
    index: dict[str, str] = {}
    for number in range(shards):
        name = "model.safetensors" if shards == 1 else f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        mine = items[number::shards]
        write(folder / name, [tensor_source(key, tensor) for key, tensor in mine])
        index |= {key: name for key, _ in mine}
    if shards > 1:
        size = sum(t.numel() * t.element_size() for _, t in items)
        text = json.dumps({"metadata": {"total_size": size}, "weight_map": index})
        (folder / "model.safetensors.index.json").write_text(text)
    return folder


def llama3v(name: str) -> str:
    """MiniCPM's tensor name in Llama3-V's spelling."""
    return name.replace("vpm.", "vison.", 1).replace("resampler.", "projection.", 1)
