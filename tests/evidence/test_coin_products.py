"""Inner products of units: against plain sums, the same whatever the blocks, threads and kernel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.align.modules import Module, Slice
from apograph.align.tensors import Match, Part
from apograph.evidence import coin_products
from apograph.evidence import stream as stream_module
from apograph.evidence.coin_plain import GROUP, LANES
from apograph.evidence.coin_products import ProductFold
from apograph.evidence.moments import SUB, fast
from apograph.evidence.stream import stream
from tests.evidence.arrays_store import ArraysStore, bf16

MATCH = Match(Part("a"), Part("b"), "renamed", 1.0)
SHAPES = [(2 * GROUP + 5, 48), (3, 40000), (700, 100), (4 * SUB // 512, 512), (SUB + 3, 1), (40, 5 * LANES)]
Axis = Literal["rows", "columns"]


def products(a: NDArray[Any], b: NDArray[Any], axis: Axis, block: int = 1, threads: int = 1) -> Any:
    piece = Slice(MATCH, axis, 0, a.shape[0 if axis == "rows" else 1])
    fold = ProductFold([Module("mlp", "x", (piece, piece), piece.stop, 1, 1)])
    stream([MATCH], ArraysStore({"a": a}), ArraysStore({"b": b}), [fold], block=block, threads=threads)
    [found] = fold.finish().values()
    return found / 2


def drawn(shape: tuple[int, int], kind: str) -> list[NDArray[Any]]:
    random = np.random.default_rng(shape[0])
    a, b = (random.standard_normal(shape, dtype=np.float32) for _ in range(2))
    return {
        "f32": [a, b],
        "bf16": [bf16(a), bf16(b)],
        "mixed": [bf16(a), b],
        "f64": [a.astype(np.float64), b],
    }[kind]


def values(stored: NDArray[Any]) -> NDArray[np.float64]:
    if stored.dtype == np.uint16:
        stored = (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(np.float64)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "CHUNK", SUB)


@pytest.mark.parametrize("axis", ["rows", "columns"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["f32", "bf16", "mixed", "f64"])
def test_sums(axis: Axis, shape: tuple[int, int], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = drawn(shape, kind)
    x, y = values(a), values(b)
    side = 1 if axis == "rows" else 0
    found = products(a, b, axis)
    for n, (p, q) in enumerate(((x, y), (x, x), (y, y))):
        scale = np.abs(p * q).sum(side)
        assert np.all(np.abs(found[n] - (p * q).sum(side)) <= 3e-6 * scale), n
    for block, threads in ((SUB, 3), (3 * SUB, 2), (1 << 22, 2)):
        assert np.array_equal(products(a, b, axis, block, threads), found), block
    if fast():
        monkeypatch.setattr(coin_products, "fast", lambda: False)
        assert np.array_equal(products(a, b, axis), found)


def test_by_hand() -> None:
    a = np.array([[1, 2], [3, 4]], np.float32)
    b = np.array([[0, -1], [2, 0.5]], np.float32)
    assert products(a, b, "rows").tolist() == [[-2, 8], [5, 25], [1, 4.25]]
    assert products(a, b, "columns").tolist() == [[6, 0], [10, 20], [4, 1.25]]
