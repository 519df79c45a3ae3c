"""A cast names the finer side only where the coarser is its rounding, ties to even."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.evidence.casts import cast_between
from apograph.evidence.rounding import FLOATS
from apograph.findings import Side

PLAIN = (0.05 * np.random.default_rng(3).standard_normal(4096)).astype(np.float32)
KINDS = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def side(a: NDArray[Any], b: NDArray[Any], *names: str) -> tuple[str, Side | None] | None:
    both = a.astype(np.float64), b.astype(np.float64)
    found = cast_between(
        [FLOATS[n] for n in names],
        names,
        len(a),
        lambda start, stop: (both[0][start:stop], both[1][start:stop]),
    )
    return None if found is None else (found[0].name, found[1])


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_what_was_rounded_came_second(kind: str) -> None:
    stored = PLAIN.astype(KINDS[kind])
    assert side(PLAIN, stored, "F32", kind) == (kind, "reference")
    assert side(stored, PLAIN, kind, "F32") == (kind, "candidate")


def test_two_roundings_of_one_release_have_no_source() -> None:
    large = PLAIN[np.abs(PLAIN) > 1e-3]  # below, float16 is the coarser
    half, brain = large.astype(np.float16), large.astype(ml_dtypes.bfloat16)
    assert side(half, brain, "F16", "BF16") == ("BF16", None)
    assert side(brain, half, "BF16", "F16") == ("BF16", None)
    assert side(half, half.astype(ml_dtypes.bfloat16), "F16", "BF16") == ("BF16", "reference")


def test_without_ties_a_rounded_side_is_no_source() -> None:
    half = np.float16([0.5, 0.25, 1.0]).repeat(100)
    half[0] = np.float16(0.5004883)  # between two values, but not half way
    assert side(half, half.astype(ml_dtypes.bfloat16), "F16", "BF16") == ("BF16", None)
    assert side(half, half.astype(ml_dtypes.bfloat16), "F32", "BF16") == ("BF16", "reference")


def test_small_numbers_lose_bits_in_float16() -> None:
    brain = (1e-6 * (1 + np.arange(64))).astype(ml_dtypes.bfloat16).astype(float)
    half = brain.astype(np.float16).astype(float)
    types = [FLOATS["BF16"]] * 2  # both use seven bits at most
    found = cast_between(
        types, ("BF16", "F16"), 64, lambda start, stop: (brain[start:stop], half[start:stop])
    )
    assert found == (FLOATS["F16"], "reference")


def test_one_element_too_far_is_no_cast() -> None:
    stored = PLAIN.astype(ml_dtypes.bfloat16).astype(np.float32)
    stored[7] += 2 * FLOATS["BF16"].ulp(stored[7:8])[0]
    assert side(PLAIN, stored, "F32", "BF16") is None
