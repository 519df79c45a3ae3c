"""Views against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from apograph.align.role_views import read, view_shape
from apograph.align.roles import View
from tests.evidence.arrays_store import ArraysStore

FUSED = np.arange(24 * 5, dtype=np.float32).reshape(24, 5)
STACK = np.arange(3 * 4 * 6, dtype=np.float32).reshape(3, 4, 6)
STORE = ArraysStore(
    {
        "fused": FUSED,
        "turned": np.ascontiguousarray(FUSED.T),
        "bias": np.arange(24, dtype=np.float32),
        "stack": STACK,
        "kernel": np.arange(7 * 12, dtype=np.float32).reshape(7, 3, 2, 2),
        "query": np.arange(10, dtype=np.float32).reshape(1, 2, 5),
    }
)
HEADS = [0, 1, 6, 7, 12, 13, 18, 19]
"""The first 2 of every 6 rows."""


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View("fused"), FUSED),
        (View("fused", 8, 16), FUSED[8:16]),
        (View("turned", 8, 16, turned=True), FUSED[8:16]),
        (View("fused", 2, period=6, width=2), FUSED[[2 + n for n in HEADS]]),
        (View("turned", 2, turned=True, period=6, width=2), FUSED[[2 + n for n in HEADS]]),
        (View("bias", 2, period=6, width=2), np.array([2.0 + n for n in HEADS])),
        (View("bias", 3, 5, turned=True), np.array([3.0, 4.0])),
        (View("stack", item=1), STACK[1]),
        (View("stack", 2, item=2), STACK[2, 2:]),
        (View("stack", 4, 6, turned=True, item=2), STACK[2].T[4:6]),
        (View("kernel"), np.arange(84.0).reshape(7, 12)),
        (View("query"), np.arange(10.0).reshape(2, 5)),
        (View("fused", 24), np.zeros((0, 5))),
    ],
)
def test_a_view_is_the_rows_it_names(view: View, expected: np.ndarray) -> None:
    values = read(STORE, view)
    assert values.dtype == np.float32
    assert np.array_equal(values, expected)
    assert view_shape(STORE, view) == expected.shape


def test_unknown_tensors() -> None:
    with pytest.raises(KeyError):
        read(STORE, View("none"))
