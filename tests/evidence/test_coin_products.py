"""Inner products of units: against plain sums, whatever the blocks and the kernel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from apograph.align.modules import Module, Slice
from apograph.align.tensors import Match, Part
from apograph.evidence import coin_products
from apograph.evidence.coin_products import GROUP, ProductFold
from apograph.release.types import TensorInfo

ROWS, WIDTH = 2 * GROUP + 5, 48
MATCH = Match(Part("a"), Part("b"), "renamed", 1.0)
INFO = TensorInfo("a", (ROWS, WIDTH), "F32", "f", 0, 4 * ROWS * WIDTH)


def products(a: Any, b: Any, axis: Literal["rows", "columns"], block: int) -> Any:
    piece = Slice(MATCH, axis, 0, ROWS if axis == "rows" else WIDTH)
    fold = ProductFold([Module("mlp", "x", (piece, piece), piece.stop, 1, 1)])
    fold.begin(MATCH, INFO, INFO)
    for start in range(0, a.size, block):
        fold.see(MATCH, start, a.reshape(-1)[start : start + block], b.reshape(-1)[start : start + block])
    [found] = fold.finish().values()
    return found / 2


@pytest.mark.parametrize("axis", ["rows", "columns"])
@pytest.mark.parametrize("kernel", ["fast", "plain"])
def test_sums(axis: Literal["rows", "columns"], kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "plain":
        monkeypatch.setattr(coin_products, "fast", lambda: False)
    elif not coin_products.fast():
        pytest.skip("numba (extra fast) is not installed")
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((ROWS, WIDTH), dtype=np.float32) for _ in range(2))
    wide = a.astype(float), b.astype(float)
    side = 1 if axis == "rows" else 0
    want = [(x * y).sum(side) for x, y in (wide, (wide[0], wide[0]), (wide[1], wide[1]))]
    whole = products(a, b, axis, a.size)
    assert whole == pytest.approx(np.array(want), abs=1e-4)
    for block in (1, 7, WIDTH, 100, GROUP * WIDTH, GROUP * WIDTH + 1, 1000):
        assert np.array_equal(products(a, b, axis, block), whole), block
