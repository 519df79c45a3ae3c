"""Quantised layouts: what the readers make of them lies within half a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apograph.lab.derive.quantisers import QUANTISERS, grouped, words
from apograph.lab.model import Model, load, save


@pytest.mark.parametrize(("kind", "step"), [("int8", 1 / 254), ("int4", 1 / 14), ("nf4", 0.16)])
def test_read_back_within_half_a_step(kind: str, step: float, tmp_path: Path) -> None:
    pack, described = QUANTISERS[kind]
    matrix = np.random.default_rng(1).standard_normal((64, 96)).astype(np.float32)
    config = {"quantization_config": dict(described)}
    save(Model(config, dict(pack("a.b", matrix))), tmp_path / "x")
    again = load(tmp_path / "x").weights
    assert list(again) == ["a.b.weight"]
    wrong = np.abs(again["a.b.weight"] - matrix).max()
    assert 0 < wrong <= step * np.abs(matrix).max()


def test_groups_and_words_by_hand() -> None:
    codes, scales, zeros = grouped(np.array([[-1.0, 0, 7, 14]]), 4)
    assert (codes.tolist(), scales.tolist(), zeros.tolist()) == ([[0, 1, 8, 15]], [[1.0]], [[1]])
    packed = words(np.arange(8, dtype=np.uint32)[None], list(range(8)))
    assert packed.view(np.uint32).tolist() == [[0x76543210]]
