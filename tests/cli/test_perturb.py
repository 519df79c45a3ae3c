"""``apograph perturb``: the noise control on the real checkpoint and on small ones."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from apograph.cli import call
from apograph.release.tensor_store import open_store
from tests.evidence.derivations import SIGMA, Family, needs_minilm
from tests.release.checkpoints import write_safetensors


@needs_minilm
@pytest.mark.parametrize("reseed", ["per-tensor", "once"])
def test_noise_on_the_real_checkpoint(tmp_path: Path, reseed: str) -> None:
    family = Family(tmp_path, rows=1000)
    original = family["original"]
    assert call(["perturb", str(original.parent), "--reseed", reseed, "--out", str(tmp_path / "o")]) == 0
    store = open_store(tmp_path / "o")
    layers = [f"encoder.layer.{n}.attention.self.query.weight" for n in (0, 1)]
    deltas = [
        store.block(n, 0, family.arrays[n].size).astype(float) - family.arrays[n].ravel() for n in layers
    ]
    for delta in deltas:
        assert delta.std() == pytest.approx(SIGMA, rel=0.01)
    together = np.corrcoef(*deltas)[0, 1]
    assert together > 0.999 if reseed == "per-tensor" else abs(together) < 0.02
    numbers = store.block("embeddings.position_ids", 0, 512)
    assert np.array_equal(numbers, np.arange(512))


def test_the_type_stays_and_the_seed_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "m"
    source.mkdir()
    weights = np.full((64, 64), 0.01, ml_dtypes.bfloat16)
    write_safetensors(source / "model.safetensors", {"w": ("BF16", weights)})
    made = {}
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        words = ["perturb", str(source), "--noise", "0.001", "--seed", seed, "--out", str(tmp_path / name)]
        assert call(words) == 0
        made[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert made["a"] == made["b"] != made["c"]
    store = open_store(tmp_path / "a")
    assert store.dtype("w") == "BF16"
    assert (store.block("w", 0, 4096) - 0.01).std() == pytest.approx(0.001, rel=0.05)
    assert "1 tensor with noise of standard deviation 0.001 (seed 1) in 1 file" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option", [["--noise", "0"], ["--noise", "1/0"], ["--noise", "x"], ["--noise", "nan"], ["--noise", "-1"],
               ["--reseed", "never"], ["--seed", "-1"], ["--noise", "1e999999999"]]
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["perturb", "/nowhere", "--out", "/nowhere/else", *option]) == 4
    assert "nowhere" not in capsys.readouterr().err
