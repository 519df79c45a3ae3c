"""What a base explains: siblings are set aside, true copies are not, whichever side comes first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from apograph.evidence.registry import Case
from apograph.evidence.weights import transformations
from apograph.findings import Finding
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from apograph.release.types import Release

Weights = dict[str, np.ndarray]
RANDOM = np.random.default_rng(4)
NAMES = [f"layers.{n}.{part}.weight" for n in range(3) for part in ("up", "down")] + ["embed.weight"]


def model() -> Weights:
    return {name: RANDOM.standard_normal((64, 48)).astype(np.float32) * 0.1 for name in NAMES}


def changed(weights: Weights, sigma: float, only: str = "") -> Weights:
    return {
        n: (w + sigma * RANDOM.standard_normal(w.shape)).astype(np.float32) if only in n else w
        for n, w in weights.items()
    }


def trained(weights: Weights, sigma: float) -> Weights:
    """A change whose singular values fall, as training's do; its elements have this standard deviation."""
    tuned = {}
    for name, w in weights.items():
        left, _, right = np.linalg.svd(RANDOM.standard_normal(w.shape), full_matrices=False)
        change = left @ np.diag(1 / np.arange(1.0, len(right) + 1)) @ right
        tuned[name] = (w + change * (sigma / change.std())).astype(np.float32)
    return tuned


def rounded(weights: Weights, levels: int) -> Weights:
    steps = {n: np.abs(w).max(axis=1, keepdims=True) / levels for n, w in weights.items()}
    return {n: (np.round(w / steps[n]) * steps[n]).astype(np.float32) for n, w in weights.items()}


def half(weights: Weights) -> Weights:
    """As after a journey through float16."""
    return {n: w.astype(np.float16).astype(np.float32) for n, w in weights.items()}


BASE = model()
TUNED = trained(BASE, 0.01)
ADAPTED = [changed(BASE, 0.01, "layers") for _ in range(2)]  # the embeddings stayed as they were


def release(folder: Path, weights: Weights) -> Release:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    (folder / "config.json").write_text(json.dumps({"model_type": "x"}))
    return open_release(str(folder))


def measures(folder: Path, a: Weights, b: Weights, base: Weights) -> dict[str, float]:
    case = Case(release(folder / "a", a), release(folder / "b", b), bases=(release(folder / "base", base),))
    told = next(f for f in transformations(case) if isinstance(f, Finding))
    return {m.name: m.value for m in told.measures if isinstance(m.value, int | float)}


@pytest.mark.parametrize(
    ("a", "b", "base"),
    [
        (rounded(BASE, 127), rounded(BASE, 7), BASE),
        (rounded(BASE, 127), TUNED, BASE),
        (half(BASE), changed(BASE, 0.02), BASE),
        (*ADAPTED, half(BASE)),
        (*ADAPTED, rounded(BASE, 127)),
    ],
    ids=["two grids", "grid and tuned", "rounded and tuned", "base rounded", "base on a grid"],
)
def test_siblings_were_not_computed_from_each_other(
    tmp_path: Path, a: Weights, b: Weights, base: Weights
) -> None:
    for n, sides in enumerate(((a, b), (b, a))):
        assert measures(tmp_path / str(n), *sides, base)["weights_computed"] == 0


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.03])
def test_noise_on_a_fine_tuned_release_is_not_explained_by_its_base(tmp_path: Path, sigma: float) -> None:
    """Not even where the noise is larger than the fine-tuning, and from either side."""
    noisy = changed(TUNED, sigma)
    for n, sides in enumerate(((TUNED, noisy), (noisy, TUNED))):
        found = measures(tmp_path / str(n), *sides, BASE)
        assert (found["weights_computed"], found["weights_bases"]) == (1, 1)


SHARED = [trained(BASE, 0.003) for _ in range(3)]
"""Two changes of their own, and one that siblings on the same data share: 0.66 of either's squares."""
KIN = [
    {n: BASE[n] + (1.4 * (SHARED[2][n] - BASE[n]) + (own[n] - BASE[n])) for n in NAMES} for own in SHARED[:2]
]


def cut(weights: Weights) -> Weights:
    return {
        n: np.where(np.abs(w) < np.median(np.abs(w)), 0, w).astype(np.float32) for n, w in weights.items()
    }


@pytest.mark.parametrize(
    "made",
    [lambda w: rounded(w, 127), lambda w: rounded(w, 7), lambda w: changed(w, 0.02), cut],
    ids=["int8", "int4", "noise", "pruned"],
)
def test_a_sibling_that_was_then_changed_by_hand_was_not_made_from_the_other(
    tmp_path: Path, made: Callable[[Weights], Weights]
) -> None:
    """Trained on one data both share more than half of a change, so the base does not explain all."""
    shrunk = [
        {n: 0.99 * w for n, w in kin.items()} for kin in KIN
    ]  # decay draws what was not cut to the zeros
    for k, (own, other) in enumerate([KIN, shrunk]):
        for n, sides in enumerate(((own, made(other)), (made(other), own))):
            found = measures(tmp_path / f"{k}{n}", *sides, BASE)
            assert (found["weights_computed"], found["weights_bases"]) == (0, 1)
        assert measures(tmp_path / f"{k} true", own, made(own), BASE)["weights_computed"] == 1


def test_a_stranger_is_no_base_though_its_vocabulary_grew_alike(tmp_path: Path) -> None:
    stranger = {**model(), "embed.weight": BASE["embed.weight"] + 0.05 * RANDOM.standard_normal((64, 48))}
    stranger = {n: w.astype(np.float32) for n, w in stranger.items()}
    assert measures(tmp_path, BASE, changed(BASE, 0.001), stranger)["weights_bases"] == 0


def test_what_a_base_lacks_may_come_from_a_further_ancestor(tmp_path: Path) -> None:
    """Two releases on one base that both took a tower from elsewhere: related, not made from each other."""
    tower = {f"tower.{n}.weight": RANDOM.standard_normal((64, 48)).astype(np.float32) for n in range(3)}
    found = measures(tmp_path, {**changed(BASE, 0.02), **tower}, {**changed(BASE, 0.02), **tower}, BASE)
    assert found["weights_made"] > 0
    assert (found["weights_computed"], found["weights_bases"]) == (0, 1)
