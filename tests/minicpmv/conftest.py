"""The tiny golden model: random weights, answers recorded from the original code (see golden/README.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from apograph.minicpmv.config import Config
from apograph.minicpmv.image import Picture, open_picture, prepare
from apograph.minicpmv.model import Model
from apograph.minicpmv.tokens import Tokenizer

GOLDEN = Path(__file__).parent / "golden"
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

QUESTION = "What is written in this image? List every word."
SINGLE = (
    "square448",
    "tiny100x60",
    "small1to9_37x333",
    "vga640x480",
    "wide1000x300",
    "tall1to9_200x1800",
    "phone1080x1920",
    "max1344",
    "tall1to9_600x5400",
)


@pytest.fixture(scope="session")
def cases() -> dict[str, Any]:
    return json.loads((GOLDEN / "cases.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def vectors() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "tensors.safetensors")


@pytest.fixture(scope="session")
def variants() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "variants.safetensors")


@pytest.fixture(scope="session")
def config() -> Config:
    return Config.from_json(json.loads((GOLDEN / "tiny_config.json").read_text("utf-8")))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(GOLDEN / "tiny_tokenizer.json")


@pytest.fixture(scope="session")
def weights() -> dict[str, torch.Tensor]:
    return {k: v.float() for k, v in load_file(GOLDEN / "tiny_weights.safetensors").items()}


@pytest.fixture(scope="session")
def model(config: Config, weights: dict[str, torch.Tensor]) -> Model:
    model = Model(config).eval()
    model.load_state_dict(weights)
    return model


@pytest.fixture(scope="session")
def picture(config: Config) -> Any:
    """``picture(name)``: a prepared golden image, made once."""
    made: dict[str, Picture] = {}

    def get(name: str) -> Picture:
        if name not in made:
            made[name] = prepare(open_picture((GOLDEN / "images" / f"{name}.png").read_bytes()), config)
        return made[name]

    return get
