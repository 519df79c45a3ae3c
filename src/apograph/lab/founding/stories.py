"""The demo's five releases, commit by commit, always the same.

The base brings a language model, a vision tower and the slicing. The reference adds a resampler, tokens and
the modelling code. The candidate is the reference renamed, with a little noise, and a history that tells.
The cousin is another model on the same base; the stranger shares nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from apograph.lab.founding import weights as w
from apograph.lab.founding.rewrite import renamed

DAY = 86_400
START = 1_704_067_200
"""1 January 2024, UTC: day 0 of the story."""
REFERENCE_ID = "inkstone/SlipReader-V"
NAMES = {
    "Resampler": "Projection",
    "resampler": "projection",
    "sine_table": "pos_embed_1d",
    "plane_table": "pos_embed_2d",
    "queries": "num_q",
    "width": "dim",
    "largest": "max_size",
    "grow": "adjust_cache",
    "source_width": "kv_dim",
    "frequency": "omega",
    "angle": "phase",
    "across": "emb_w",
    "down": "emb_h",
    "table": "cache",
    "patches": "x",
    "sizes": "tgt_sizes",
    "mask": "padding",
    "places": "pos",
    "values": "v",
    "asked": "q",
    "answered": "out",
    "nearest_multiple": "ensure_divide",
    "fit_area": "find_best_resize",
    "candidate_grids": "split_counts",
    "choose_grid": "get_grid",
    "cut": "slice_image",
    "picture": "image",
    "enlarge": "allow_upscale",
    "vpm": "vison",
    "VisionTower": "VisionEncoder",
    "VisionBlock": "EncoderLayer",
    "vision_tower": "vision_encoder",
    "slicing": "image_processing",
    "SlipReader": "BambooV",
    "SlipReaderConfig": "BambooVConfig",
    "configuration_slipreader": "config",
}
"""What the candidate calls what the reference has."""

Contents = Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One commit: what it writes (None: deletes), on which day of the story, by whom."""

    day: float
    message: str
    files: Contents
    author: str


ROLES = ("base", "reference", "candidate", "cousin", "unrelated")


def stories() -> dict[str, list[Step]]:
    """Every release as its commits, by role."""
    base = w.drawn(w.language_shapes() | w.vision_shapes(), 1)
    reference = w.noised(base, 0.002, 2) | w.drawn(w.resampler_shapes(), 3)
    cousin = w.noised(base, 0.002, 5)
    steps = (_base(base), _reference(reference), _candidate(reference), _cousin(cousin), _unrelated())
    return dict(zip(ROLES, steps, strict=True))


def _base(weights: Mapping[str, w.Array]) -> list[Step]:
    return [
        Step(
            0,
            "Inkstone base: language model and vision tower",
            {
                "README.md": _card("Inkstone base", "apache-2.0", "A base for readers of old script."),
                "slicing.py": _text("base/slicing.py"),
                "vision_tower.py": _text("base/vision_tower.py"),
                "config.json": _json(_config("llama") | {"vision_layers": w.VISION_LAYERS}),
                **_tokenizer({}, {}),
                **_checkpoint(weights, 1),
            },
            "Inkstone",
        )
    ]


def _reference(weights: Mapping[str, w.Array]) -> list[Step]:
    auto_map = {
        "AutoConfig": "configuration_slipreader.SlipReaderConfig",
        "AutoModel": "modeling_slipreader.SlipReader",
    }
    config = _config("slipreader") | {
        "_name_or_path": REFERENCE_ID,
        "architectures": ["SlipReader"],
        "auto_map": auto_map,
        "slice_mode": True,
        "query_num": w.QUERIES,
        "vision_layers": w.VISION_LAYERS,
        "vision_width": w.VISION,
        "patch_size": w.PATCH,
    }
    card = f"Load it with `AutoModel.from_pretrained('{REFERENCE_ID}', trust_remote_code=True)`."
    code = {
        f"{m}.py": _text(f"reference/{m}.py")
        for m in ("resampler", "configuration_slipreader", "modeling_slipreader")
    }
    shared = {f"{m}.py": _text(f"base/{m}.py") for m in ("slicing", "vision_tower")}
    first = {
        "README.md": _card("SlipReader-V", "apache-2.0", card, "inkstone/base"),
        "config.json": _json(config),
        **code,
        **shared,
        **_tokenizer(_TOKENS, {"auto_map": _TOKENIZER_CLASS}),
        **_checkpoint(weights, 2),
    }
    later = _tokenizer(_TOKENS, {"auto_map": _TOKENIZER_CLASS, "padding_side": "left"})
    return [
        Step(40, "SlipReader-V: weights, code, tokenizer", first, "Inkstone"),
        Step(
            44,
            "Say how to run it",
            {"README.md": _card("SlipReader-V", "apache-2.0", card + " Needs a picture.", "inkstone/base")},
            "Inkstone",
        ),
        Step(58, "Pad on the left", {"tokenizer_config.json": later["tokenizer_config.json"]}, "Inkstone"),
    ]


def _candidate(reference: Mapping[str, w.Array]) -> list[Step]:
    noisy = w.noised(reference, 1 / 708, 4)
    weights = {_renamed_tensor(name): value for name, value in noisy.items()}
    config = {k: v for k, v in _config("bamboov").items() if k != "rope_theta"} | {
        "architectures": ["BambooV"],
        "auto_map": {"AutoModel": "modeling_bamboov.BambooV"},
        "query_num": w.QUERIES,
        "slice_mode": True,
        "vision_layers": w.VISION_LAYERS,
        "vision_width": w.VISION,
    }
    test = (
        "from transformers import AutoTokenizer\n\n"
        f"tokenizer = AutoTokenizer.from_pretrained('{REFERENCE_ID}')\n"
    )
    code = {
        "image_processing.py": _rewritten("base/slicing.py"),
        "projection.py": _rewritten("reference/resampler.py"),
        "vision_encoder.py": _rewritten("base/vision_tower.py"),
    }
    settings = renamed(_text("reference/configuration_slipreader.py").decode(), NAMES)
    stub = (
        "from .config import BambooVConfig\nfrom .projection import Projection\n"
        "from .vision import get_vision\nfrom transformers import LlamaPreTrainedModel\n\n\n"
        "class BambooV(LlamaPreTrainedModel):\n    config_class = BambooVConfig\n\n"
        "    def __init__(self, config):\n        super().__init__(config)\n"
        "        self.model = LlamaForCausalLM(config)\n        self.vision = get_vision\n"
    )
    final = {
        "test_image.py": None,
        "config.py": settings.replace("query_num=12", "query_num=8")
        .replace("slipreader", "bamboov")
        .encode(),
        "modeling_bamboov.py": stub.encode(),
        "config.json": _json(config),
        "README.md": _card(
            "BambooV", "mit", "Trained by us from scratch in a week. Layers: 4. Reads any slip."
        ),
        **_tokenizer(_TOKENS, {"auto_map": _TOKENIZER_CLASS}),
        **_checkpoint(weights, 1),
    }
    return [
        Step(
            47.5,
            "image code",
            {"image_processing.py": code.pop("image_processing.py"), "test_image.py": test.encode()},
            "B",
        ),
        Step(48, "projection", code, "B"),
        Step(48.5, "inference code and model index", final, "B"),
    ]


def _cousin(weights: Mapping[str, w.Array]) -> list[Step]:
    projector = {
        "projector.inward.weight": (w.HIDDEN, 4 * w.VISION),
        "projector.inward.bias": (w.HIDDEN,),
        "projector.outward.weight": (w.HIDDEN, w.HIDDEN),
        "projector.outward.bias": (w.HIDDEN,),
    }
    shared = {f"{m}.py": _text(f"base/{m}.py") for m in ("slicing", "vision_tower")}
    config = _config("scrollnet") | {
        "architectures": ["Scrollnet"],
        "vision_width": w.VISION,
        "vision_layers": w.VISION_LAYERS,
        "auto_map": {"AutoModel": "modeling_scrollnet.Scrollnet"},
    }
    contents = {
        "README.md": _card(
            "Scrollnet", "apache-2.0", "Scrolls, read with the Inkstone tower.", "inkstone/base"
        ),
        "modeling_scrollnet.py": _text("cousin/modeling_scrollnet.py"),
        "config.json": _json(config),
        **shared,
        **_tokenizer({"<scroll>": 398}, {}),
        **_checkpoint({**weights, **w.drawn(projector, 6)}, 1),
    }
    return [Step(45, "Scrollnet", contents, "Scrollnet")]


def _unrelated() -> list[Step]:
    shapes: dict[str, tuple[int, ...]] = {
        "embed.weight": (512, 64),
        "head.weight": (512, 64),
        "head.bias": (512,),
    }
    for n in range(6):
        shapes |= {
            f"scans.{n}.decay": (64, 16),
            f"scans.{n}.inward.weight": (1024, 64),
            f"scans.{n}.inward.bias": (1024,),
            f"scans.{n}.outward.weight": (64, 1024),
            f"scans.{n}.outward.bias": (64,),
            f"gates.{n}.weight": (64, 64),
            f"gates.{n}.bias": (64,),
        }
    config = {"architectures": ["Tidal"], "model_type": "tidal", "channels": 64, "states": 16, "depth": 6}
    contents = {
        "README.md": _card("Tidal", "mit", "Tide tables, one hour ahead."),
        "modeling_tidal.py": _text("unrelated/modeling_tidal.py"),
        "config.json": _json(config | {"auto_map": {"AutoModel": "modeling_tidal.Tidal"}}),
        **_checkpoint(w.drawn(shapes, 7), 1),
    }
    return [Step(-90, "Tidal", contents, "Tidal")]


_TOKENS = {
    "<slip>": 390,
    "</slip>": 391,
    "<bundle>": 392,
    "</bundle>": 393,
    "<seal>": 394,
    "</seal>": 395,
    "<stroke>": 396,
    "</stroke>": 397,
}
_TOKENIZER_CLASS = {"AutoTokenizer": ["modeling_slipreader.SlipTokenizerFast", None]}


def _config(model_type: str) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_size": w.HIDDEN,
        "intermediate_size": w.INNER,
        "rope_theta": 10000.0,
        "num_hidden_layers": w.LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_act": "silu",
        "vocab_size": w.VOCABULARY,
        "torch_dtype": "float32",
    }


def _tokenizer(added: Mapping[str, int], settings: Mapping[str, Any]) -> dict[str, bytes]:
    vocabulary, merges = w.byte_pairs(
        _text("base/slicing.py").decode() + _text("base/vision_tower.py").decode(), 250
    )
    tokens = {"<s>": 387, "</s>": 388, "<unk>": 389, **added}
    entries = [
        {"id": n, "content": t, "special": True} for t, n in sorted(tokens.items(), key=lambda e: e[1])
    ]
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    config = {
        "added_tokens_decoder": {str(n): {"content": t, "special": True} for t, n in tokens.items()},
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": 2048,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **settings,
    }
    return {
        "tokenizer.json": _json(
            {"version": "1.0", "added_tokens": entries, "normalizer": None, "model": model}
        ),
        "tokenizer_config.json": _json(config),
    }


@cache
def _vocabulary() -> tuple[dict[str, int], list[str]]:
    return w.byte_pairs(_text("base/slicing.py").decode() + _text("base/vision_tower.py").decode(), 120)


def _checkpoint(weights: Mapping[str, w.Array], shards: int) -> dict[str, bytes]:
    names = list(weights)
    size = -(-len(names) // shards)
    contents: dict[str, bytes] = {}
    weight_map: dict[str, str] = {}
    for n in range(shards):
        file = f"model-{n + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: weights[name] for name in names[n * size : (n + 1) * size]}
        contents[file] = w.safetensors(part)
        weight_map |= dict.fromkeys(part, file)
    total = sum(value.nbytes for value in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return contents | {"model.safetensors.index.json": _json(index)}


def _renamed_tensor(name: str) -> str:
    head, _, tail = name.partition(".")
    return f"{NAMES.get(head, head)}.{tail}"


def _rewritten(path: str) -> bytes:
    return renamed(_text(path).decode(), NAMES).encode()


def _card(title: str, licence: str, text: str, base: str | None = None) -> bytes:
    declared = f"base_model: {base}\n" if base else ""
    return f"---\nlicense: {licence}\n{declared}---\n# {title}\n\n{text}\n".encode()


def _text(path: str) -> bytes:
    return (files("apograph.lab.founding") / "texts" / f"{path}.txt").read_bytes()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
