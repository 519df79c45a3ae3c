"""The class of a pair: made by hand for every class, at the edges of what storage types show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.evidence.noise_law import clean_side
from apograph.evidence.stream import stream
from apograph.evidence.transformation import Transformation, transformation
from tests.evidence.arrays_store import ArraysStore, bf16, matched

RANDOM = np.random.default_rng(11)
SHAPE = (384, 512)
WEIGHT = (0.05 * RANDOM.standard_t(6, SHAPE)).astype(np.float32)
OTHER = (0.05 * RANDOM.standard_normal(SHAPE)).astype(np.float32)
SIGMA = 1 / 708


def told(a: NDArray[Any], b: NDArray[Any]) -> Transformation:
    stores = ArraysStore({"w": a}), ArraysStore({"w": b})
    match = matched(*stores)
    return transformation(match[0], stream(match, *stores)[0], *stores)


@pytest.mark.parametrize("size", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("shape", [(96, 96), (160, 96)])
def test_layers_that_began_as_identities_are_not_related_by_that(size: float, shape: tuple[int, int]) -> None:
    one, two = (np.eye(*shape) + size * RANDOM.standard_normal(shape) for _ in range(2))
    levels = np.round(two / np.abs(two).max() * 127) * (np.abs(two).max() / 127)
    for other in (two, np.eye(*shape), levels, 1.3 * two):
        for a, b in ((one, other), (other, one)):
            assert told(a.astype(np.float32), b.astype(np.float32)).kind == "unrelated"
    again = one + 0.1 * size * RANDOM.standard_normal(shape)
    assert told(one.astype(np.float32), again.astype(np.float32)).kind in ("noise", "fine_tuned")


def test_two_that_were_each_pruned_were_not_pruned_from_each_other() -> None:
    sides = [WEIGHT + 0.01 * RANDOM.standard_normal(SHAPE) for _ in range(2)]
    cut = [np.where(np.abs(w) < 0.01, 0, w).astype(np.float32) for w in sides]
    assert told(*cut).kind == "fine_tuned"
    more = np.where(np.abs(cut[0]) < 0.02, 0, cut[0])
    assert told(cut[0], more).kind == "pruned"


def noisy(seed: int = 1, scale: float = SIGMA) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    return WEIGHT + (scale * noise).astype(np.float32)


def test_identical_and_unrelated() -> None:
    assert told(WEIGHT, WEIGHT.copy()).kind == "identical"
    assert told(WEIGHT, OTHER).kind == "unrelated"
    assert told(np.ones(SHAPE, np.float32), OTHER).kind == "constant"


@pytest.mark.parametrize(
    ("stored", "into"),
    [
        (bf16(WEIGHT), "BF16"),
        (WEIGHT.astype(np.float16), "F16"),
        (WEIGHT.astype(np.float16).astype(np.float32), "F16"),
    ],
)
def test_cast_points_to_the_finer_side(stored: NDArray[Any], into: str) -> None:
    there, back = told(WEIGHT, stored), told(stored, WEIGHT)
    assert (there.kind, there.into, there.source) == ("cast", into, "reference")
    assert (back.kind, back.into, back.source) == ("cast", into, "candidate")


def test_one_element_beyond_half_a_unit_is_no_cast() -> None:
    changed = bf16(WEIGHT).copy()
    changed[300, 7] += 1
    assert told(WEIGHT, changed).kind != "cast"


@pytest.mark.parametrize(("store", "within"), [("F32", 0.01), ("F16", 0.01), ("BF16", 0.03)])
@pytest.mark.parametrize("both", [False, True])
def test_noise_is_measured_under_rounding(store: str, within: float, both: bool) -> None:
    make = {"F32": lambda v: v, "F16": lambda v: v.astype(np.float16), "BF16": bf16}[store]
    found = told(make(WEIGHT) if both else WEIGHT, make(noisy()))
    assert found.kind == "noise"
    assert found.sigma == pytest.approx(SIGMA, rel=within)
    assert found.interval is not None
    assert found.interval[0] < SIGMA * 1.005
    assert found.interval[1] > SIGMA * 0.995


def test_swapping_the_sides_swaps_the_source() -> None:
    there, back = told(WEIGHT, noisy()), told(noisy(), WEIGHT)
    assert clean_side([there.moments]) == "reference"
    assert clean_side([back.moments]) == "candidate"
    assert clean_side([told(noisy(1), noisy(2)).moments]) is None
    assert there.sigma == pytest.approx(back.sigma, rel=1e-6)


def test_noise_of_four_times_the_spread_is_noise() -> None:
    found = told(WEIGHT, noisy(3, 4 * float(WEIGHT.std())))
    assert found.kind == "noise"
    assert found.sigma == pytest.approx(4 * float(WEIGHT.std()), rel=0.01)


def test_one_step_of_adam_is_not_noise() -> None:
    step = np.float32(1e-4) * np.sign(RANDOM.standard_normal(SHAPE)).astype(np.float32)
    assert told(WEIGHT, WEIGHT + step).kind == "fine_tuned"


def test_a_spectrum_above_the_edge_is_not_noise() -> None:
    low = RANDOM.standard_normal((SHAPE[0], 60)) @ RANDOM.standard_normal((60, SHAPE[1])) / 60**0.5
    full = 0.001 * (low + 0.5 * RANDOM.standard_normal(SHAPE))
    assert told(WEIGHT, WEIGHT + full.astype(np.float32)).kind == "fine_tuned"


@pytest.mark.parametrize("store", [lambda v: v, bf16])
@pytest.mark.parametrize("rank", [1, 8, 16])
def test_low_rank(store: Any, rank: int) -> None:
    delta = (
        0.004
        / rank**0.5
        * RANDOM.standard_normal((SHAPE[0], rank))
        @ RANDOM.standard_normal((rank, SHAPE[1]))
    )
    found = told(store(WEIGHT), store(WEIGHT + delta.astype(np.float32)))
    assert (found.kind, found.rank) == ("low_rank", rank)


def quantised(bits: int, group: int) -> NDArray[np.float32]:
    blocks = WEIGHT.reshape(-1, group)
    top = 2 ** (bits - 1) - 1
    scale = np.abs(blocks).max(axis=1, keepdims=True) / top
    return (np.rint(blocks / scale) * scale).reshape(SHAPE).astype(np.float32)


@pytest.mark.parametrize(("bits", "group"), [(8, 32), (8, 512), (4, 32), (4, 64), (4, 128)])
def test_quantised_points_away_from_the_grid(bits: int, group: int) -> None:
    found = told(WEIGHT, quantised(bits, group))
    assert (found.kind, found.source) == ("quantised", "reference")
    assert found.grid is not None
    assert (found.grid.bits, found.grid.kind) == (bits, "uniform")
    assert told(quantised(bits, group), WEIGHT).source == "candidate"


def test_two_quantised_releases_may_both_come_from_a_third() -> None:
    class Packed(ArraysStore):
        def dtype(self, name: str) -> str:
            return "Q8_0"

    reference, candidate = Packed({"w": WEIGHT}), Packed({"w": quantised(4, 32)})
    matches = matched(reference, candidate)
    moments = list(stream(matches, ArraysStore(reference.arrays), ArraysStore(candidate.arrays)))
    found = transformation(matches[0], moments[0], reference, candidate)
    assert (found.kind, found.source) == ("quantised", None)


def test_an_unrelated_grid_is_not_a_quantisation() -> None:
    assert told(OTHER, quantised(4, 32)).kind == "unrelated"


def test_bfloat16_is_no_grid() -> None:
    assert told(bf16(WEIGHT), bf16(noisy())).kind == "noise"


def test_pruned() -> None:
    cut = np.where(np.abs(WEIGHT) < np.median(np.abs(WEIGHT)), 0, WEIGHT).astype(np.float32)
    there, back = told(WEIGHT, cut), told(cut, WEIGHT)
    assert (there.kind, there.source) == ("pruned", "reference")
    assert there.zeros == pytest.approx(0.5, abs=1e-3)
    assert (back.kind, back.source) == ("pruned", "candidate")


def test_strided_copying_into_an_unrelated_model_changes_nothing() -> None:
    framed = OTHER.copy().reshape(-1)
    framed[::2000] = WEIGHT.reshape(-1)[::2000]
    assert told(WEIGHT, framed.reshape(SHAPE)).kind == "unrelated"


def test_vectors_are_not_judged() -> None:
    gain = 1 + 0.01 * RANDOM.standard_normal(4096).astype(np.float32)
    assert told(gain, (gain + 0.001).astype(np.float32)).kind == "vector"
    assert told(gain, gain.copy()).kind == "identical"
