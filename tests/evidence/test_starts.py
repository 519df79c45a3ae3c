"""Strangers whose layers began by one rule are not alike; copies of such layers are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from apograph.evidence.starts import alike_by_start

Values = NDArray[np.float64]
RANDOM = np.random.default_rng(6)


def white(shape: tuple[int, ...], size: float) -> Values:
    return size * RANDOM.standard_normal(shape)


def point() -> Values:
    kernels = np.zeros((64, 64, 3, 3))
    kernels[np.arange(64), np.arange(64), 1, 1] = 1
    return kernels.reshape(64, -1)


def bilinear() -> Values:
    line = 1 - np.abs(np.arange(4) - 1.5) / 2
    kernels = np.zeros((64, 64, 4, 4))
    kernels[np.arange(64), np.arange(64)] = np.outer(line, line)
    return kernels.reshape(64, -1)


STARTS: dict[str, tuple[Values, float]] = {
    "identity": (np.eye(96), 0.02),
    "two identities": (np.concatenate([np.eye(96), np.eye(96)], 1), 0.02),
    "identity turned": (np.fliplr(np.eye(96)), 0.02),
    "point": (point(), 0.01),
    "bilinear": (bilinear(), 0.005),
    "averages": (np.kron(np.eye(12), np.full((8, 8), 1 / 8)), 0.005),
    "logarithms": (np.tile(np.log(np.arange(1, 17)), (192, 1)), 0.05),
    "rows and columns": (np.add.outer(np.arange(96.0), np.sqrt(np.arange(64.0))), 0.5),
}


@pytest.mark.parametrize("name", STARTS)
def test_what_began_alike_is_not_related_by_that(name: str) -> None:
    start, size = STARTS[name]
    one, two = (start + white(start.shape, size) for _ in range(2))
    assert alike_by_start(one, two)
    assert alike_by_start(one, 1.3 * start)
    assert not alike_by_start(one, one + white(start.shape, size / 2))


COPIES: dict[str, Callable[[Values], Values]] = {
    "noise of four times the weights": lambda w: w + white(w.shape, 4 * float(w.std())),
    "nine of ten pruned": lambda w: np.where(np.abs(w) > np.quantile(np.abs(w), 0.9), w, 0),
    "columns scaled": lambda w: w * np.exp(RANDOM.standard_normal(w.shape[1])),
    "signs alone": lambda w: np.sign(w) * 0.05 + white(w.shape, 0.005),
    "ternary": lambda w: np.clip(np.round(w / w.std()), -1, 1) + white(w.shape, 0.05),
    "a constant added": lambda w: w + 3,
}


@pytest.mark.parametrize("name", COPIES)
@settings(max_examples=10, deadline=None)
@given(heavy=st.booleans(), scaled=st.booleans())
def test_copies_are_not_set_aside(name: str, heavy: bool, scaled: bool) -> None:
    weights = white((256, 192), 0.05) if not heavy else 0.05 * RANDOM.standard_t(3, (256, 192))
    weights = weights * np.exp(RANDOM.standard_normal((256, 1))) if scaled else weights
    assert not alike_by_start(weights, COPIES[name](weights))
    assert not alike_by_start(COPIES[name](weights), weights)


def test_weights_of_two_values_with_noise() -> None:
    signs = np.sign(white((256, 192), 1.0))
    assert not alike_by_start(signs + white(signs.shape, 0.1), signs + white(signs.shape, 0.1))


def test_nothing_varies() -> None:
    assert alike_by_start(np.zeros((16, 16)), np.ones((16, 16)))
