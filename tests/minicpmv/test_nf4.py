"""The nf4 layout: hand-computed blocks, round trips, and files that lie."""

from __future__ import annotations

import json

import pytest
import torch

from apograph.findings import Refusal
from apograph.minicpmv.nf4 import NF4, STATE, NF4Linear, dynamic_map


def quantised(weight: torch.Tensor) -> NF4Linear:
    return NF4Linear.quantise(iter([(0, weight)]), tuple(weight.shape), "cpu")


def test_values_of_the_table_survive() -> None:
    block = torch.tensor(NF4).repeat(4)  # 64 values, the largest is 1
    layer = quantised(block.repeat(128, 1))
    assert torch.equal(layer.expand(0, 128), block.repeat(128, 1))
    assert layer.parts()[""][:2, 0].tolist() == [0x01, 0x23]  # the high half first


def test_error_is_that_of_the_data_type() -> None:
    torch.manual_seed(0)
    weight = torch.randn(300, 128)
    error = (quantised(weight).expand(0, 300) - weight).norm() / weight.norm()
    assert 0.085 < error < 0.097  # bitsandbytes: 0.091


def test_products_go_through_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from apograph.minicpmv import nf4

    layer = quantised(torch.randn(100, 64))
    x = torch.randn(3, 64)
    expected = x @ layer.expand(0, 100).t()
    monkeypatch.setattr(nf4, "ROWS", 7)
    torch.testing.assert_close(layer(x), expected)


def test_dynamic_map_is_the_published_one() -> None:
    values = dynamic_map()
    assert values.shape == (256,)
    assert (values.diff() > 0).all()
    assert values[-1] == 1.0
    assert values[127] == 0.0
    # the finest and the coarsest steps, by hand: 10^-6 * 0.55 and 1 - 0.9 / 64 / 2
    assert values[128].item() == pytest.approx(5.5e-7)
    assert values[-2].item() == pytest.approx(1 - 0.9 / 128)


@pytest.mark.parametrize(
    "change",
    [
        {"absmax": torch.zeros(3, dtype=torch.uint8)},
        {"weight": torch.zeros(5, 1, dtype=torch.uint8)},
        {STATE: torch.tensor(list(b"[]"), dtype=torch.uint8)},
        {STATE: torch.tensor(list(b"{"), dtype=torch.uint8)},
        {
            STATE: torch.tensor(
                list(json.dumps({"shape": [4, 64], "blocksize": 32}).encode()), dtype=torch.uint8
            )
        },
        {"quant_map": torch.zeros(15)},
        {"weight": torch.zeros(128, 1)},
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, torch.Tensor]) -> None:
    parts = quantised(torch.randn(4, 64)).parts()
    parts["weight"] = parts.pop("")
    NF4Linear(parts, (4, 64))
    with pytest.raises(Refusal):
        NF4Linear(parts | change, (4, 64))


def test_runs_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    weight = torch.randn(256, 128)
    layer = NF4Linear.quantise(iter([(0, weight)]), (256, 128), "cuda")
    x = torch.randn(2, 128)
    torch.testing.assert_close(layer(x.cuda()).cpu(), quantised(weight)(x), atol=1e-3, rtol=1e-3)
