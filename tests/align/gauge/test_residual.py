"""The stream from tables of any length, of which only samples are held."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from apograph.align.gauge import residual, table
from apograph.align.gauge.residual import stream_map
from apograph.align.gauge.table import Table
from apograph.align.roles import View
from tests.evidence.arrays_store import ArraysStore, bf16

ROWS, WIDTH = 40_000, 96


def rows() -> np.ndarray[Any, Any]:
    random = np.random.default_rng(0)
    long = random.uniform(0.3, 3, (ROWS, 1)).astype(np.float32)
    return random.standard_normal((ROWS, WIDTH), np.float32) * long


def tabled(values: np.ndarray[Any, Any]) -> Table:
    return Table(*values.shape, (ArraysStore({"w": bf16(values)}), View("w")))


def turn() -> np.ndarray[Any, Any]:
    drawn = np.random.default_rng(1).standard_normal((WIDTH, WIDTH))
    return np.linalg.qr(drawn)[0].astype(np.float32)


def test_a_rotation_is_found_and_only_samples_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "SAMPLE", 1000)
    monkeypatch.setattr(table, "STEP", 1 << 16)
    a, b = tabled(rows()), tabled(rows() @ turn())
    stream_map("", a, b, True)  # what is loaded once is not counted
    tracemalloc.start()
    found = stream_map("", a, b, True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert found.basis == "rotated"
    assert found.rows is None
    assert found.agreement > 0.999
    assert found.axis.mix is not None
    assert np.abs(found.axis.mix[0] - turn().T).max() < 1e-3
    assert peak < ROWS * WIDTH * 4 / 2


def test_a_long_table_renumbered_and_rotated_is_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "SAMPLE", 4000)
    some = rows()[:8000]
    order = np.random.default_rng(2).permutation(len(some))
    found = stream_map("", tabled(some), tabled((some @ turn())[order]), True)
    assert found is not None
    assert found.rows is not None
    assert np.array_equal(order[found.rows], np.arange(len(some)))


def test_strangers_tables_need_no_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(residual, "_rotation", never)
    other = np.random.default_rng(3).standard_normal((9000, WIDTH)).astype(np.float32)
    found = stream_map("", tabled(rows()[:9000]), tabled(other), False)
    assert found is not None
    assert found.agreement < 0.1
    assert found.axis.trivial
