"""Tensors matched by content: renamed, scrambled, dropped, joined, transposed, tied, extended, unrelated."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from apograph.align.tensor_samples import Samples, correlations
from apograph.align.tensors import Match, Matching, Part, in_order, match_tensors
from apograph.lab.founding.weights import (
    Array,
    drawn,
    language_shapes,
    noised,
    resampler_shapes,
    safetensors,
    vision_shapes,
)
from apograph.release.tensor_store import TensorStore, open_store

Weights = dict[str, Array]
MODEL: Weights = drawn(language_shapes() | vision_shapes() | resampler_shapes(), 0)
QKV = ("q_proj", "k_proj", "v_proj")


@pytest.fixture
def match(tmp_path: Path):  # type: ignore[no-untyped-def]
    def run(candidate: Weights, reference: Weights = MODEL) -> Matching:
        return match_tensors(
            store(tmp_path / "a.safetensors", reference), store(tmp_path / "b.safetensors", candidate)
        )

    return run


def store(path: Path, weights: Weights) -> TensorStore:
    path.write_bytes(safetensors(weights))
    return open_store(path)


def names(matching: Matching) -> dict[str, str]:
    return {m.reference.name: m.candidate.name for m in matching.matches}


def complete(matching: Matching) -> bool:
    return not matching.unmatched_reference and not matching.unmatched_candidate


def test_itself(match) -> None:  # type: ignore[no-untyped-def]
    got = match(MODEL)
    assert names(got) == {name: name for name in MODEL}
    assert complete(got)
    assert {(m.how, m.transposed) for m in got.matches} == {("same", False)}
    assert all(m.score == pytest.approx(1, abs=1e-5) for m in got.matches)


def test_rules_of_a_renaming(match) -> None:  # type: ignore[no-untyped-def]
    got = match(
        {n.replace("vpm.", "vison.").replace("resampler.", "projection."): v for n, v in MODEL.items()}
    )
    rules = {(r.pattern_from, r.pattern_to, r.count) for r in got.rules}
    assert ("vpm.*", "vison.*", 53) in rules
    assert ("resampler.*", "projection.*", 13) in rules
    places = [p for r in got.rules if r.pattern_from == "vpm.*" for p in r.pairs]
    assert {got.matches[p].reference.name.split(".")[0] for p in places} == {"vpm"}


def test_names_that_say_nothing(match) -> None:  # type: ignore[no-untyped-def]
    order = list(MODEL)
    random.Random(1).shuffle(order)
    got = match({f"t{n}": MODEL[name] for n, name in enumerate(order)})
    assert names(got) == {name: f"t{n}" for n, name in enumerate(order)}


def test_names_that_lie(match) -> None:  # type: ignore[no-untyped-def]
    """Gate and up exchanged, layers in reverse order: content counts, not the name."""
    last = 3
    turned = {}
    for name, value in MODEL.items():
        if name.startswith("vpm.layers."):
            number = int(name.split(".")[2])
            name = name.replace(f"layers.{number}.", f"layers.{last - number}.")
        elif "gate_proj" in name or "up_proj" in name:
            name = name.replace("gate", "?").replace("up_proj", "gate_proj").replace("?_proj", "up_proj")
        turned[name] = value
    got = names(match(turned))
    assert got["llm.model.layers.1.mlp.gate_proj.weight"] == "llm.model.layers.1.mlp.up_proj.weight"
    assert got["vpm.layers.0.fc1.weight"] == "vpm.layers.3.fc1.weight"
    assert got["vpm.layers.0.norm1.bias"] == "vpm.layers.3.norm1.bias", "vectors follow their layer"


def test_a_dropped_layer(match) -> None:  # type: ignore[no-untyped-def]
    kept = {}
    for name, value in MODEL.items():
        if "vpm.layers.1." not in name:
            kept[name.replace("layers.2.", "layers.1.").replace("layers.3.", "layers.2.")] = value
    got = match(kept)
    assert all("vpm.layers.1." in name for name in got.unmatched_reference)
    assert len(got.unmatched_reference) == 12
    found = {m.reference.name: m for m in got.matches}
    assert found["vpm.layers.3.norm2.weight"].candidate.name == "vpm.layers.2.norm2.weight"
    assert found["vpm.layers.3.norm2.weight"].how == "permuted"
    assert ("vpm.layers.3.*", "vpm.layers.2.*", 12) in {
        (r.pattern_from, r.pattern_to, r.count) for r in got.rules
    }


def joined() -> Weights:
    made: Weights = {}
    for name, value in MODEL.items():
        if ".q_proj" in name:
            parts = [MODEL[name.replace("q_proj", p)] for p in QKV]
            made[name.replace("q_proj", "qkv_proj")] = np.concatenate(parts)
        elif "gate_proj" in name:
            made[name.replace("gate", "gate_up")] = np.concatenate([value, MODEL[name.replace("gate", "up")]])
        elif not any(f".{p}." in name for p in ("k_proj", "v_proj", "up_proj")):
            made[name] = value
    return made


@pytest.mark.parametrize("swapped", [False, True])
def test_joined_projections(match, swapped: bool) -> None:  # type: ignore[no-untyped-def]
    got = match(MODEL, joined()) if swapped else match(joined())
    assert complete(got)
    parts = {}
    for m in got.matches:
        if m.how == "fused":
            split, whole = (m.candidate, m.reference) if swapped else (m.reference, m.candidate)
            parts[split.name] = (whole.start, whole.stop)
    layer = "llm.model.layers.1."
    assert [parts[f"{layer}self_attn.{p}.weight"] for p in QKV] == [(0, 64), (64, 96), (96, 128)]
    assert parts[f"{layer}mlp.up_proj.weight"] == (128, 256)
    assert len(parts) == 10


def test_joined_projections_beside_decoys(match) -> None:  # type: ignore[no-untyped-def]
    """Tensors of the shapes that were joined do not keep the joined ones from being searched."""
    random = np.random.default_rng(9)
    decoys = {
        f"decoys.{n}": random.standard_normal(v.shape).astype(np.float32)
        for n, v in MODEL.items()
        if any(f".{p}." in n for p in (*QKV, "gate_proj", "up_proj"))
    }
    fused = [m for m in match({**joined(), **decoys}).matches if m.how == "fused"]
    assert len(fused) == 10
    assert not any(m.candidate.name in decoys for m in fused)


def test_transposed_storage(match) -> None:  # type: ignore[no-untyped-def]
    got = match({n: np.ascontiguousarray(v.T) if v.ndim == 2 else v for n, v in MODEL.items()})
    assert names(got) == {name: name for name in MODEL}
    assert {m.reference.name for m in got.matches if m.transposed} == {
        n for n, v in MODEL.items() if v.ndim == 2
    }


def test_an_extended_vocabulary(match) -> None:  # type: ignore[no-untyped-def]
    name = "llm.model.embed_tokens.weight"
    longer = MODEL | {name: np.concatenate([MODEL[name], drawn({"x": (7, 64)}, 9)["x"]])}
    found = [m for m in match(longer).matches if m.reference.name == name]
    assert [(m.how, m.reference.stop, m.candidate.start, m.candidate.stop) for m in found] == [
        ("sliced", None, 0, 400)
    ]


def test_tied_embeddings(match) -> None:  # type: ignore[no-untyped-def]
    tied = MODEL | {"llm.lm_head.weight": MODEL["llm.model.embed_tokens.weight"]}
    less = {n: v for n, v in tied.items() if "lm_head" not in n}
    got = match(less, tied)
    assert names(got)["llm.lm_head.weight"] == "llm.model.embed_tokens.weight"
    assert complete(got)


def test_a_tower_inside_another_model(match) -> None:  # type: ignore[no-untyped-def]
    tower = {n.replace("vpm.", "encoder."): v for n, v in MODEL.items() if n.startswith("vpm.")}
    got = match(MODEL, tower)
    assert got.unmatched_reference == ()
    assert len(got.matches) == 53
    assert all(m.candidate.name.startswith("vpm.") for m in got.matches)


def test_noise_as_large_as_the_weights(match) -> None:  # type: ignore[no-untyped-def]
    copied = noised({n.replace("llm.", "x."): v for n, v in MODEL.items()}, 0.05, 3)
    assert names(match(copied)) == {n: n.replace("llm.", "x.") for n in MODEL}


def test_independent_models_are_paired_by_name_with_no_score(match) -> None:  # type: ignore[no-untyped-def]
    got = match(drawn(language_shapes() | vision_shapes() | resampler_shapes(), 1))
    assert names(got) == {name: name for name in MODEL}
    assert complete(got)
    matrices = [m for m in got.matches if MODEL[m.reference.name].ndim > 1]
    assert max(m.score for m in matrices) < 0.15


def test_signs_do_not_enter(tmp_path: Path) -> None:
    """Any change of signs leaves every score as it was."""
    random_ = np.random.default_rng(5)
    flipped = {n: v * random_.choice([-1, 1], v.shape).astype(np.float32) for n, v in MODEL.items()}
    a, b = (Samples(store(tmp_path / f"{n}.safetensors", w)) for n, w in enumerate((MODEL, flipped)))
    name = "vpm.layers.0.fc1.weight"
    assert float(correlations([a.rows(name, 0, 96)], [b.rows(name, 0, 96)])[0, 0]) == pytest.approx(1)
    assert np.array_equal(a.rows(name, 0, 96), b.rows(name, 0, 96))


def test_swapping_the_sides(match) -> None:  # type: ignore[no-untyped-def]
    def pairs(found: tuple[Match, ...], turn: int) -> set[tuple[str, ...]]:
        return {(m.reference.name, m.candidate.name)[::turn] for m in found}

    other = joined()
    assert pairs(match(other).matches, 1) == pairs(match(MODEL, other).matches, -1)


def test_the_order_of_layers_is_told_apart_from_their_numbering() -> None:
    def pairs(*numbers: tuple[int, int]) -> list[Match]:
        return [Match(Part(f"a.{x}.w"), Part(f"b.{y}.w"), "renamed", 1.0) for x, y in numbers]

    assert in_order(pairs((0, 1), (1, 2), (2, 3)))
    assert in_order(pairs((0, 0), (1, 1), (1, 1)))
    assert not in_order(pairs((0, 2), (1, 0), (2, 1)))
    assert in_order([Match(Part("embed"), Part("words"), "renamed", 1.0)])
