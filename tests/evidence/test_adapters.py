"""Adapters that were published alone: compared on their base, and named where none is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from apograph.evidence.adapters import adapters
from apograph.evidence.descent import descent
from apograph.evidence.registry import Case
from apograph.evidence.sides import sides
from apograph.evidence.weights import transformations
from apograph.findings import Finding, Unexamined
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from apograph.release.types import Release
from apograph.weigh.weights import conclude_weights
from tests.evidence.train_llama import CONFIG, initial

BASE = initial(1)
CHANGED = tuple(f"model.layers.0.self_attn.{name}_proj.weight" for name in "qv")


def whole(folder: Path, weights: dict[str, np.ndarray]) -> Release:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return open_release(str(folder))


def factors(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """B and A of every changed matrix."""
    random = np.random.default_rng(seed)
    sizes = {n: ((BASE[n].shape[0], 4), (4, BASE[n].shape[1])) for n in CHANGED}
    drawn = {n: [0.1 * random.standard_normal(size) for size in both] for n, both in sizes.items()}
    return {n: (b.astype(np.float32), a.astype(np.float32)) for n, (b, a) in drawn.items()}


def adapter(folder: Path, seed: int, described: bool = True) -> Release:
    folder.mkdir()
    tensors = {}
    for name, (b, a) in factors(seed).items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        tensors |= {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors))
    if described:
        settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    return open_release(str(folder))


def merged(seed: int) -> dict[str, np.ndarray]:
    """The base with that adapter added at lora_alpha / r = 2."""
    return BASE | {n: (BASE[n] + 2 * (b @ a)).astype(np.float32) for n, (b, a) in factors(seed).items()}


def test_an_adapter_is_put_on_the_base_that_has_what_it_changes(tmp_path: Path) -> None:
    base = whole(tmp_path / "base", BASE)
    other = whole(tmp_path / "other", {n: w for n, w in BASE.items() if n != CHANGED[0]})
    case = Case(whole(tmp_path / "a", initial(2)), adapter(tmp_path / "b", 3), bases=(other, base))
    (finding,) = adapters(case)
    assert isinstance(finding, Finding)
    assert (finding.id, finding.message.params["n"]) == ("weights.adapter:candidate", 2)
    assert finding.message.params["base"] == base.ref
    side = sides(case)[1]
    assert (side.releases, side.config) == ((case.candidate, base), base.config)
    for name, expected in merged(3).items():
        assert np.allclose(side.store.block(name, 0, expected.size), expected.ravel(), atol=1e-6), name


def test_an_adapter_without_its_base_is_named(tmp_path: Path) -> None:
    (gap,) = adapters(Case(whole(tmp_path / "a", BASE), adapter(tmp_path / "b", 3)))
    assert isinstance(gap, Unexamined)
    assert (gap.side, gap.fault) == ("candidate", False)


def test_whole_checkpoints_and_factors_without_a_description_are_none(tmp_path: Path) -> None:
    base = whole(tmp_path / "base", BASE)
    case = Case(adapter(tmp_path / "a", 3, described=False), base, bases=(base,))
    assert list(adapters(case)) == []
    assert sides(case)[0].base is None


@pytest.mark.parametrize(("seed", "expected"), [(3, "copy or derivative"), (4, "common ancestor")])
def test_the_same_adapter_merged_is_a_copy_and_another_one_is_not(
    tmp_path: Path, seed: int, expected: str
) -> None:
    base = whole(tmp_path / "base", BASE)
    case = Case(whole(tmp_path / "merged", merged(seed)), adapter(tmp_path / "own", 3), bases=(base,))
    found = conclude_weights([f for f in (*transformations(case), *descent(case)) if isinstance(f, Finding)])
    assert found is not None
    assert found.relation == expected
