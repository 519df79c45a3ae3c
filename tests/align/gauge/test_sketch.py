"""Sketches: of whole matrices block by block, carried over in the same step, true to products of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apograph.align.gauge import sketch as sketches
from apograph.align.gauge.axis import PLAIN, Axis
from apograph.align.gauge.sketch import SKETCH, onto, rows_of, sketch
from apograph.align.pairing import cosines, pair_rows
from apograph.align.roles import View
from tests.evidence.arrays_store import ArraysStore

WIDTH = 1100
"""Channels, more than sums: each is of two or three of them."""


def drawn(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


ROTATION = np.linalg.qr(drawn(9, WIDTH, WIDTH))[0]
ORDER = np.random.default_rng(1).permutation(WIDTH)
LOST = np.where(np.arange(WIDTH) % 7, ORDER, -1)
GAINS = np.exp(drawn(3, WIDTH))
AXES = {
    "plain": PLAIN,
    "moved": Axis(index=ORDER, after=np.sign(drawn(2, WIDTH))),
    "lost": Axis(GAINS, LOST, None, 1 / GAINS),
    "rotated": Axis(GAINS, ORDER, ROTATION[None], 1 / GAINS),
}


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES.keys())
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("step", [1 << 22, 5000])
def test_a_sketch_is_that_of_the_carried_rows(
    axis: Axis, turned: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "STEP", step)
    rows = drawn(4, 60, WIDTH)
    expected = onto(WIDTH).rows(axis.last(rows))
    for matrix, channels in ((rows, 1), (rows.T, 0)):
        stored = matrix.T if turned else matrix
        store = ArraysStore({"w": np.ascontiguousarray(stored)})
        found = sketch(store, View("w", turned=turned), onto(WIDTH, axis), channels)
        assert found.shape == (60, SKETCH)
        assert np.allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_cosines_are_off_by_as_much_as_is_said() -> None:
    a, b = drawn(5, 2000, WIDTH), drawn(6, 2000, WIDTH)
    for x, y in ((a, b), (a, a + 0.5 * b)):
        off = cosines(onto(WIDTH).rows(x), onto(WIDTH).rows(y)) - cosines(x, y)
        assert abs(off.mean()) < 0.005
        assert off.std() < 1.1 / SKETCH**0.5
    assert np.allclose(cosines(onto(WIDTH).rows(a), onto(WIDTH).rows(-3 * a)), -1)


def test_narrow_rows_stay_exactly_what_they_are() -> None:
    rows = drawn(7, 5, 300)
    assert np.array_equal(np.abs(onto(300).rows(rows)), np.abs(rows))


def test_rows_come_in_any_order() -> None:
    values = drawn(8, 50, 6)
    places = np.array([7, -1, 3, 49, 0])
    expected = values[places] * (places >= 0)[:, None]
    for turned in (False, True):
        store = ArraysStore({"w": np.ascontiguousarray(values.T if turned else values)})
        assert np.array_equal(rows_of(store, View("w", turned=turned), places), expected)
        assert np.array_equal(rows_of(store, View("w", turned=not turned), places, 1), expected)


@pytest.mark.parametrize("noise", [0.0, 0.7, 2.0])
def test_units_are_paired_by_sums_of_sketches_first(noise: float) -> None:
    """At a noise of twice the rows' size nothing is clear in few numbers, and all are found in more."""
    order = np.random.default_rng(1).permutation(400)
    a = [onto(WIDTH).rows(drawn(n, 400, WIDTH)) for n in (1, 2)]
    b = [
        onto(WIDTH).rows((drawn(n, 400, WIDTH) + noise * drawn(n + 5, 400, WIDTH))[order]) * (-1) ** n
        for n in (1, 2)
    ]
    assert (order[pair_rows(a, b)] == np.arange(400)).mean() > 0.98
    signed = pair_rows(a[:1], b[:1], signed=True)
    assert (order[signed] == np.arange(400)).mean() < 0.02
