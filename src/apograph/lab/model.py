"""A release of the lab's: a folder as published ones are, and the model that it holds."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.lab.families import Config
from apograph.lab.train import Weights
from apograph.release.safetensors_writer import Planned, write_checkpoint
from apograph.release.tensor_store import open_store

TYPES: Mapping[str, str] = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"} | {
    "int64": "I64", "int32": "I32", "int8": "I8", "uint8": "U8",
}  # fmt: skip
"""The format's name of each array type."""


@dataclass(frozen=True, slots=True)
class Model:
    """Configuration, weights (float32 unless a derivation stores them otherwise) and tokenizer.json."""

    config: Config
    weights: Weights
    tokenizer: str = ""

    def using(self, weights: Weights, **config: Any) -> Model:
        """The same with other weights, and the given fields of the configuration changed."""
        return replace(self, weights=weights, config={**self.config, **config})


def save(model: Model, folder: Path) -> None:
    """Write config.json, tokenizer.json and model.safetensors; the folder appears whole or not at all."""
    beside = {"config.json": (json.dumps(dict(model.config), indent=2) + "\n").encode()}
    if model.tokenizer:
        beside["tokenizer.json"] = model.tokenizer.encode()
    arrays = {name: np.ascontiguousarray(array) for name, array in model.weights.items()}
    plan = [Planned(n, TYPES[a.dtype.name], a.shape, n) for n, a in arrays.items()]

    def read(tensor: Planned, start: int, stop: int) -> NDArray[Any]:
        flat: NDArray[Any] = arrays[tensor.source].reshape(-1)[start:stop].view(f"u{tensor.width}")
        return flat

    shutil.rmtree(f"{os.path.realpath(folder)}.part", ignore_errors=True)  # an interrupted attempt's
    write_checkpoint(str(folder), plan, read, job=folder.name, beside=beside)


def load(folder: Path) -> Model:
    """Read a release that ``save`` wrote; packed weights are unpacked, every float comes as float32."""
    config = json.loads((folder / "config.json").read_text())
    file = folder / "tokenizer.json"
    store = open_store(folder)
    try:
        weights = {}
        for name, info in store.infos.items():
            shape = info.shape or ()
            weights[name] = store.block(name, 0, int(np.prod(shape))).reshape(shape).astype(np.float32)
    finally:
        store.close()
    return Model(config, weights, file.read_text() if file.exists() else "")
