"""Values that are no numbers, matrices without elements, names that lie: one bad tensor ends no examiner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.align.role_views import LARGEST, bounded, part, read
from apograph.align.roles import View
from apograph.align.tensors import Match, Part
from apograph.evidence import samples
from apograph.evidence.gauge import gauge
from apograph.evidence.invariants import invariants
from apograph.evidence.registry import Case
from apograph.evidence.samples import sampled_rows
from apograph.evidence.weights import transformations
from apograph.findings import Finding
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from apograph.release.types import Release
from tests.evidence.arrays_store import ArraysStore

CONFIG = '{"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 64, "rms_norm_eps": 1e-6}'
SHAPES = {
    "model.embed_tokens.weight": (320, 64),
    **{
        f"model.layers.{n}.{name}.weight": shape
        for n in range(2)
        for name, shape in {
            "self_attn.q_proj": (64, 64),
            "self_attn.k_proj": (32, 64),
            "self_attn.v_proj": (32, 64),
            "self_attn.o_proj": (64, 64),
            "mlp.gate_proj": (96, 64),
            "mlp.up_proj": (96, 64),
            "mlp.down_proj": (64, 96),
            "input_layernorm": (64,),
            "post_attention_layernorm": (64,),
        }.items()
    },
}
Weights = dict[str, NDArray[np.float32]]


def weights(seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return {
        name: (1 if len(shape) == 1 else 0) + 0.05 * random.standard_normal(shape).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def release(folder: Path, values: Weights) -> Release:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(values))
    (folder / "config.json").write_text(CONFIG)
    return open_release(str(folder))


def examined(folder: Path, a: Weights, b: Weights) -> dict[str, str]:
    """Keys of the findings of all that reads weights, by id."""
    folder.mkdir(exist_ok=True)
    case = Case(release(folder / "a", a), release(folder / "b", b))
    found = [f for examine in (transformations, gauge, invariants) for f in examine(case)]
    return {f.id: f.message.key for f in found if isinstance(f, Finding)}


def each(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[[Weights], Weights]:
    return lambda w: {name: change(v) for name, v in w.items()}


def spoilt(v: NDArray[np.float32]) -> NDArray[np.float32]:
    v = v.copy()
    v.reshape(-1)[:3] = np.nan, np.inf, -np.inf
    return v


def zero_gain(w: Weights) -> Weights:
    return w | {"model.layers.0.input_layernorm.weight": np.zeros(64, np.float32)}


def false_layers(w: Weights) -> Weights:
    """Layers whose matrices are single numbers, or empty, or do not fit each other."""
    mlp = {f"model.layers.7.mlp.{n}_proj.weight": np.float32(1) for n in ("gate", "up", "down")}
    flat = {f"model.layers.8.self_attn.{n}_proj.weight": np.zeros((0, 64)) for n in "qkv"}
    flat |= {"model.layers.8.self_attn.o_proj.weight": np.zeros((64, 0))}
    odd = {f"model.layers.9.mlp.{n}_proj.weight": np.ones((5, 9)) for n in ("gate", "up", "down")}
    norm = {"model.layers.1.input_layernorm.weight": np.ones(63)}
    return w | {name: np.asarray(v, np.float32) for name, v in (mlp | flat | odd | norm).items()}


ODD: dict[str, tuple[Callable[[Weights], Weights], str, str]] = {
    "not finite in every tensor": (each(spoilt), "akin", "identical"),
    "nothing but NaN": (each(lambda v: np.full_like(v, np.nan)), "nothing", "identical"),
    "nothing but infinity": (each(lambda v: np.full_like(v, np.inf)), "nothing", "identical"),
    "nothing but zeros": (each(np.zeros_like), "nothing", "identical"),
    "huge": (each(lambda v: v * np.float32(1e38)), "unrelated", "identical"),
    "tiny": (each(lambda v: v * np.float32(1e-40)), "unrelated", "identical"),
    "single numbers": (each(lambda v: np.float32(1) * np.ones((), np.float32)), "nothing", "identical"),
    "no rows": (each(lambda v: v[:0]), "nothing", "nothing"),
    "a gain of zeros": (zero_gain, "made", "identical"),
    "false layers": (false_layers, "made", "made"),
}
"""A change of weights, and what is found beside the unchanged ones and beside the changed ones themselves."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ODD)
def test_odd_weights_end_no_examiner(name: str, tmp_path: Path) -> None:
    change, beside_usual, beside_itself = ODD[name]
    a = weights(1)
    odd = change(a)
    for one, key in ((a, beside_usual), (odd, beside_itself)):
        found = examined(tmp_path / str(one is odd), one, odd)
        assert found["weights.transformation"] == f"weights.transformation.{key}"
        assert found.get("weights.coins") != "weights.coins.nothing", (
            "no test was made that could speak against"
        )


def test_one_nan_hides_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a = weights(1)
    b = {name: v.copy() for name, v in a.items()}
    b["model.embed_tokens.weight"][319, 0] = np.nan
    found = examined(tmp_path, a, b)
    assert found["weights.transformation"] == "weights.transformation.made"
    assert found["weights.coins"] == "weights.coins.found"
    assert capfd.readouterr().err == ""


def test_false_layers_hide_nothing(tmp_path: Path) -> None:
    found = examined(tmp_path, weights(1), false_layers(weights(1)))
    assert found["weights.transformation"] == "weights.transformation.made"
    assert found["weights.coins"] == "weights.coins.found"
    assert "weights.invariants" in found


def test_samples_hold_numbers_on_both_sides() -> None:
    a, b = np.ones((4, 3), np.float32), np.full((4, 3), 2, np.float32)
    a[0, 0], b[1, 1], b[2, 2], a[3, 0] = np.nan, -np.inf, -1e30, 1e14
    match = Match(Part("w"), Part("w"), "same", 1.0)
    x, y = sampled_rows(match, ArraysStore({"w": a}), ArraysStore({"w": b}))
    assert x.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 1], [np.float32(1e14), 1, 1]]
    assert y.tolist() == [[0, 2, 2], [2, 0, 2], [2, 2, -np.float32(samples.LARGEST)], [2, 2, 2]]


def test_views_hold_numbers() -> None:
    values = np.array([[np.nan, np.inf], [3, 1e30], [-1e30, -np.inf]], np.float32)
    store, expected = ArraysStore({"w": values}), [[0, 0], [3, LARGEST], [-LARGEST, 0]]
    assert read(store, View("w")).tolist() == expected
    assert part(store, View("w")).tolist() == expected
    whole = np.ones(3, np.float32)
    assert bounded(whole) is whole
