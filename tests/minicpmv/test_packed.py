"""Quantised layers against the arithmetic they stand for, on both of their paths."""

from __future__ import annotations

import pytest
import torch

from apograph.minicpmv import packed
from apograph.minicpmv.packed import GROUP, Int4Linear, Int8Linear, native_int4

CLASSES = [Int8Linear, Int4Linear]


def made(
    cls: type[Int8Linear | Int4Linear], n: int = 192, k: int = 256
) -> tuple[torch.Tensor, Int8Linear | Int4Linear]:
    weight = torch.randn(n, k, generator=torch.Generator().manual_seed(n + k)) * 0.05
    pieces = [(first, weight[first : first + 50]) for first in range(0, n, 50)]
    return weight, cls.quantise(iter(pieces), (n, k), "cpu")


def dense(layer: Int8Linear | Int4Linear) -> torch.Tensor:
    """The layer's weight from what it saves, by the formula of its docstring."""
    parts = layer.parts()
    if isinstance(layer, Int8Linear):
        return parts["int8"].float() * parts["scale"].float()[:, None]
    q = torch.stack([parts["int4"] & 15, parts["int4"] >> 4], -1).flatten(1).float()
    scale, offset = (parts["steps"][..., i].float().t().repeat_interleave(GROUP, 1) for i in (0, 1))
    return (q - 8) * scale + offset


@pytest.mark.parametrize("cls", CLASSES)
def test_rounding_is_to_the_nearest_step(cls: type[Int8Linear | Int4Linear]) -> None:
    weight, layer = made(cls)
    error = (dense(layer) - weight).abs()
    if cls is Int8Linear:
        step = layer.parts()["scale"].float()[:, None]
    else:
        step = layer.parts()["steps"][..., 0].float().t().repeat_interleave(GROUP, 1)
    assert (error <= step * 0.56).all()  # half a step, and what bfloat16 takes from scale and offset
    assert error.mean() < 0.3 * step.mean()


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("rows", [1, packed.KERNEL_ROWS, packed.KERNEL_ROWS + 1, 40])
@pytest.mark.parametrize("n", [192, 80, 1100])
def test_both_paths_compute_the_product(cls: type[Int8Linear | Int4Linear], rows: int, n: int) -> None:
    _, layer = made(cls, n)
    x = torch.randn(2, rows, 256, generator=torch.Generator().manual_seed(1)).bfloat16()[:1]
    expected = x.float() @ dense(layer).t()
    found = layer(x)
    assert found.shape == expected.shape
    assert found.dtype == x.dtype
    assert (found.float() - expected).norm() < 0.01 * expected.norm()


def test_int4_without_the_kernel_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, native = made(Int4Linear)
    monkeypatch.setattr(packed, "native_int4", lambda: False)
    plain = Int4Linear.quantise(iter([(0, weight)]), (192, 256), "cpu")
    assert not plain.native
    assert torch.equal(plain.parts()["int4"], native.parts()["int4"])
    assert torch.equal(plain.expand(slice(64, 192)), native.expand(slice(64, 192)))


def test_the_int4_kernel_is_used_here() -> None:
    if not native_int4():
        pytest.skip("this processor or PyTorch has no int4 kernel with the AVX-512 layout")
    assert made(Int4Linear)[1].native
