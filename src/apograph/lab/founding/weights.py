"""Small weights and a small tokenizer for the demo: shapes and names as its modelling code implies them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
HIDDEN, INNER, LAYERS, VOCABULARY = 64, 128, 2, 400
VISION, VISION_INNER, VISION_LAYERS, PATCH, POSITIONS, QUERIES = 48, 96, 4, 14, 70, 12


def language_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Llama-shaped language model."""
    shapes: dict[str, tuple[int, ...]] = {"llm.model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for n in range(LAYERS):
        layer = f"llm.model.layers.{n}."
        shapes |= {f"{layer}self_attn.{p}_proj.weight": (HIDDEN, HIDDEN) for p in "qo"}
        shapes |= {f"{layer}self_attn.{p}_proj.weight": (HIDDEN // 2, HIDDEN) for p in "kv"}
        shapes |= {f"{layer}mlp.{p}_proj.weight": (INNER, HIDDEN) for p in ("gate", "up")}
        shapes[f"{layer}mlp.down_proj.weight"] = (HIDDEN, INNER)
        shapes |= {f"{layer}{p}_layernorm.weight": (HIDDEN,) for p in ("input", "post_attention")}
    return shapes | {"llm.model.norm.weight": (HIDDEN,), "llm.lm_head.weight": (VOCABULARY, HIDDEN)}


def vision_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of ``texts/base/vision_tower.py.txt``."""
    shapes: dict[str, tuple[int, ...]] = {
        "vpm.patch.weight": (VISION, 3, PATCH, PATCH),
        "vpm.patch.bias": (VISION,),
        "vpm.position.weight": (POSITIONS, VISION),
    }
    for n in range(VISION_LAYERS):
        layer = f"vpm.layers.{n}."
        shapes |= {f"{layer}norm{k}.{p}": (VISION,) for k in (1, 2) for p in ("weight", "bias")}
        shapes |= {
            f"{layer}attention.in_proj_weight": (3 * VISION, VISION),
            f"{layer}attention.in_proj_bias": (3 * VISION,),
            f"{layer}attention.out_proj.weight": (VISION, VISION),
            f"{layer}attention.out_proj.bias": (VISION,),
            f"{layer}fc1.weight": (VISION_INNER, VISION),
            f"{layer}fc1.bias": (VISION_INNER,),
            f"{layer}fc2.weight": (VISION, VISION_INNER),
            f"{layer}fc2.bias": (VISION,),
        }
    return shapes | {"vpm.post_norm.weight": (VISION,), "vpm.post_norm.bias": (VISION,)}


def resampler_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of ``texts/reference/resampler.py.txt``."""
    shapes: dict[str, tuple[int, ...]] = {
        "resampler.query": (QUERIES, HIDDEN),
        "resampler.kv_proj.weight": (HIDDEN, VISION),
        "resampler.attn.in_proj_weight": (3 * HIDDEN, HIDDEN),
        "resampler.attn.in_proj_bias": (3 * HIDDEN,),
        "resampler.attn.out_proj.weight": (HIDDEN, HIDDEN),
        "resampler.attn.out_proj.bias": (HIDDEN,),
        "resampler.proj": (HIDDEN, HIDDEN),
    }
    return shapes | {
        f"resampler.ln_{k}.{p}": (HIDDEN,) for k in ("q", "kv", "post") for p in ("weight", "bias")
    }


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
    """Weights as an initialiser draws them: matrices normal with sd 0.05, gains near 1, biases near 0."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        noise = random.standard_normal(shape).astype(np.float32)
        gain = len(shape) == 1 and name.endswith(".weight")
        weights[name] = (1 + 0.01 * noise) if gain else 0.05 * noise
    return weights


def noised(weights: Mapping[str, Array], sigma: float, seed: int) -> dict[str, Array]:
    """Every element plus Gaussian noise of standard deviation ``sigma``."""
    random = np.random.default_rng(seed)
    return {
        name: value + np.float32(sigma) * random.standard_normal(value.shape).astype(np.float32)
        for name, value in weights.items()
    }


def safetensors(weights: Mapping[str, Array]) -> bytes:
    """The weights as one safetensors file of 32-bit floats."""
    header: dict[str, Any] = {}
    at = 0
    for name, value in weights.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(np.ascontiguousarray(value, "<f4").tobytes() for value in weights.values())
    return len(text).to_bytes(8, "little") + text + body


def byte_pairs(text: str, merges: int) -> tuple[dict[str, int], list[str]]:
    """A vocabulary and the merges learned from ``text`` by byte-pair encoding (Gage 1994; Sennrich 2016)."""
    words = Counter(tuple(word) for word in text.split())
    vocabulary = {letter: n for n, letter in enumerate(sorted({c for word in words for c in word}))}
    learned: list[str] = []
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        learned.append(f"{left} {right}")
        vocabulary.setdefault(left + right, len(vocabulary))
        words = Counter({_merged(word, left, right): count for word, count in words.items()})
    return vocabulary, learned


def _merged(word: tuple[str, ...], left: str, right: str) -> tuple[str, ...]:
    parts: list[str] = []
    for letter in word:
        if parts and parts[-1] == left and letter == right:
            parts[-1] = left + right
        else:
            parts.append(letter)
    return tuple(parts)
