"""Noise that depends on seed, tensor and place alone, in the arithmetic of the stored type."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apograph.release.perturbation import CHUNK, Noise, Perturbed, added, stored_type
from apograph.release.safetensors_writer import Planned
from apograph.release.tensor_store import open_store
from tests.release.checkpoints import write_safetensors

SIGMA = Fraction(1, 708)
ONCE, ANEW = Noise(SIGMA, 5, "once"), Noise(SIGMA, 5, "per-tensor")


@given(st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK), st.booleans())
def test_the_pieces_do_not_matter(one: int, other: int, wide: bool) -> None:
    start, stop = sorted((one, other))
    whole = ONCE.normal(3, 0, 3 * CHUNK, wide)
    assert np.array_equal(ONCE.normal(3, start, stop, wide), whole[start:stop])


def test_the_noise_is_standard_normal() -> None:
    drawn = ONCE.normal(0, 0, 1 << 20)
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn[:-CHUNK], drawn[CHUNK:])[0, 1]) < 5e-3  # chunks are independent


def test_tensors_and_seeds() -> None:
    assert np.array_equal(ANEW.normal(0, 0, 99), ANEW.normal(7, 0, 99))
    assert abs(np.corrcoef(ONCE.normal(0, 0, CHUNK), ONCE.normal(1, 0, CHUNK))[0, 1]) < 0.02
    assert (
        abs(np.corrcoef(ONCE.normal(0, 0, CHUNK), Noise(SIGMA, 6, "once").normal(0, 0, CHUNK))[0, 1]) < 0.02
    )


@pytest.mark.parametrize(
    ("dtype", "torch_name"), [("BF16", "bfloat16"), ("F16", "float16"), ("F32", "float32")]
)
def test_the_arithmetic_is_that_of_the_type(dtype: str, torch_name: str) -> None:
    torch = pytest.importorskip("torch")
    kind = getattr(torch, torch_name)
    random = np.random.default_rng(1)
    values, drawn = random.standard_normal((2, 50_000)).astype(np.float32)
    ours = added(values.astype(stored_type(dtype)), drawn, SIGMA).astype(np.float32)
    theirs = torch.from_numpy(values).to(kind) + torch.from_numpy(drawn).to(kind) / 708
    assert np.array_equal(ours, theirs.float().numpy())
    assert not np.array_equal(ours, values)


def test_a_fraction_with_a_numerator() -> None:
    values = np.zeros(3, ml_dtypes.bfloat16)
    drawn = np.array([1.0, -2.0, 0.5], np.float32)
    assert added(values, drawn, Fraction(3, 2)).astype(float).tolist() == [1.5, -3.0, 0.75]
    assert added(np.zeros(3), drawn, Fraction(3, 4)).tolist() == [0.75, -1.5, 0.375]


def test_integers_stay(tmp_path: Path) -> None:
    arrays = {"n": ("I64", np.arange(9)), "w": ("F32", np.zeros(CHUNK + 9, np.float32))}
    store = open_store(write_safetensors(tmp_path / "m.safetensors", arrays))
    read = Perturbed(store, ONCE)
    assert read(Planned("n", "I64", (9,), "n"), 2, 5).tolist() == [2, 3, 4]
    noise = read(Planned("x", "F32", (CHUNK + 9,), "w"), 0, CHUNK + 9).view(np.float32)
    assert noise.std() == pytest.approx(1 / 708, rel=0.02)
    assert np.array_equal(
        noise[7:], read(Planned("x", "F32", (CHUNK + 9,), "w"), 7, CHUNK + 9).view(np.float32)
    )
