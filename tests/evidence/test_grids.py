"""Grids, and whether one side is what rounding the other to its grid gives."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.evidence.grids import grid_of, rounds_to
from apograph.evidence.rounding import FLOATS
from apograph.lab.derive.quantisers import grouped, nf4_book

RANDOM = np.random.default_rng(8)
PLAIN = (0.05 * RANDOM.standard_normal((384, 512))).astype(np.float32)
BRAIN = PLAIN.astype(ml_dtypes.bfloat16).astype(np.float32)
Matrix = NDArray[Any]


def eight(values: Matrix) -> Matrix:
    scale = np.abs(values).max(axis=1, keepdims=True) / 127
    return np.asarray(np.round(values / scale) * scale, np.float32)


def four(values: Matrix) -> Matrix:
    """As Q4_0: the scale from the largest value with its sign, kept in float16."""
    blocks = values.reshape(-1, 32)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    codes = np.minimum(np.floor(blocks / (largest / -8) + 8.5), 15) - 8
    return (codes * (largest / -8).astype(np.float16)).astype(np.float32).reshape(values.shape)


def zero_point(values: Matrix) -> Matrix:
    codes, scales, zeros = grouped(values, 32)
    q = codes.reshape(len(values), -1, 32).astype(np.float32)
    return np.asarray((q - zeros[..., None]) * scales[..., None], np.float32).reshape(values.shape)


def normal_float(values: Matrix) -> Matrix:
    blocks, book = values.reshape(-1, 64), nf4_book()
    scales = np.abs(blocks).max(axis=1, keepdims=True)
    codes = np.searchsorted((book[1:] + book[:-1]) / 2, blocks / scales)
    return (book[codes] * scales).reshape(values.shape)


ALL = pytest.mark.parametrize("make", [eight, four, zero_point, normal_float])


@ALL
def test_what_was_rounded_to_a_grid_is_told(make: Any) -> None:
    grid = grid_of(make(PLAIN))
    assert grid is not None
    assert rounds_to(PLAIN, make(PLAIN), grid, None) == "yes"
    assert rounds_to(BRAIN, make(BRAIN), grid, FLOATS["BF16"]) == "yes"


@ALL
def test_a_rounding_of_a_third_release_is_not(make: Any) -> None:
    stored = make(PLAIN)
    grid = grid_of(stored)
    assert grid is not None
    assert rounds_to(BRAIN, stored, grid, FLOATS["BF16"]) == "no"
    tuned = PLAIN + (0.002 * RANDOM.standard_normal(PLAIN.shape)).astype(np.float32)
    assert rounds_to(tuned, stored, grid, None) == "no"


@ALL
def test_types_too_fine_to_tell_leave_it_open(make: Any) -> None:
    half = PLAIN.astype(np.float16).astype(np.float32)
    for values in (half, PLAIN):  # a third's rounding would be hidden in that of the scales
        stored = make(values)
        grid = grid_of(stored)
        assert grid is not None
        assert rounds_to(half, stored, grid, FLOATS["F16"]) == "open"


def test_blocks_may_run_over_the_ends_of_rows() -> None:
    stored = normal_float(PLAIN.reshape(-1, 96))
    grid = grid_of(stored)
    assert grid is not None
    assert (grid.kind, grid.group) == ("nf4", 64)
