"""Models of about a million parameters: their sizes, their alphabet, their first weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from apograph.lab.vision.texts import ALPHABET
from apograph.minicpmv.config import Config

if TYPE_CHECKING:
    from apograph.minicpmv.model import Model
    from apograph.minicpmv.tokens import Tokenizer

CONFIG = Config(
    vocab_size=128,
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rope_theta=10000.0,
    vision_hidden_size=128,
    vision_intermediate_size=256,
    vision_layers=3,
    vision_heads=4,
    vision_image_size=14 * 25,
    query_num=12,
    max_slice_nums=1,
    scale_resolution=70,
)
"""One slice of about 70 x 70 pixels: at most 25 patches, each with a position of its own."""

READ = "Read the text."
SLIP = "Read the slip."
WORDS = ("user", "assistant", READ, SLIP, "click ", "hover ", "input ")
"""What is one token because every prompt or action has it; texts that hold one of them are not drawn."""


def tokenizer_json() -> str:
    """A tokenizer.json: one token for each character of ``ALPHABET``, ``WORDS`` and the release's markup."""
    from apograph.minicpmv.tokens import MARKUP, STRUCTURE

    plain = ["\n", "\n\n", *ALPHABET]
    special = [*STRUCTURE.values(), *MARKUP]
    added = [
        {
            "id": len(plain) + number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in special,
        }
        for number, token in enumerate([*WORDS, *special])
    ]
    model = {
        "type": "BPE",
        "unk_token": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(plain)},
        "merges": [["\n", "\n"]],
    }
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": model,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def tokenizer() -> Tokenizer:
    """The tokenizer of all models of this room."""
    import tokenizers

    from apograph.minicpmv.tokens import Tokenizer

    return Tokenizer(tokenizers.Tokenizer.from_str(tokenizer_json()))


def new_model(seed: int) -> Model:
    """A model with first weights drawn from ``seed``.

    The resampler's queries start as the positions of a line's columns of patches, and its query and key
    projections start equal: each query then looks at its own columns from the first step on, which saves
    the long plateau in which such a model has to find out where to look.
    """
    import torch
    from torch import nn

    from apograph.minicpmv.model import Model
    from apograph.minicpmv.resampler import sincos_positions

    torch.manual_seed(seed)
    model = Model(CONFIG)
    width, count = CONFIG.hidden_size, CONFIG.query_num
    depth = (2 * CONFIG.num_hidden_layers) ** -0.5
    for name, layer in model.llm.named_modules():
        if isinstance(layer, nn.Linear):
            scale = depth if name.endswith(("o_proj", "down_proj")) else 1.0
            nn.init.normal_(layer.weight, std=scale * layer.in_features**-0.5)
    nn.init.normal_(model.embedding.weight, std=0.5)
    nn.init.normal_(model.llm.get_parameter("lm_head.weight"), std=0.02)
    nn.init.normal_(model.vpm.embeddings.position_embedding.weight, std=0.2)
    with torch.no_grad():
        filters = model.vpm.embeddings.patch_embedding.weight
        filters.sub_(filters.mean((1, 2, 3), keepdim=True)).mul_(5.0)
    nn.init.orthogonal_(model.resampler.proj)
    across = sincos_positions(width, 2, count).mean(0)  # [count, width]: the middle of each column
    with torch.no_grad():
        model.resampler.query.copy_(across)
        projections = model.resampler.attn.in_proj_weight.view(3, width, width)
        for projection in (projections[0], projections[2]):
            nn.init.orthogonal_(projection)
        projections[0].mul_(3.0)
        projections[1].copy_(projections[0])
        model.resampler.ln_kv.weight.fill_(0.1)  # where a patch lies counts for more than what it shows
    return model


def save(model: Model, folder: Path) -> None:
    """Write a release: config.json, tokenizer.json, model.safetensors in bfloat16."""
    import torch

    from apograph.minicpmv.store import tensor_source, write

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().to(torch.bfloat16) for name, value in model.named_parameters()}
    write(folder / "model.safetensors", [tensor_source(name, value) for name, value in state.items()])
    (folder / "config.json").write_text(json.dumps(model.config.to_json(), indent=1) + "\n", "utf-8")
    (folder / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
