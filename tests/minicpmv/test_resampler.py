"""Positions of the resampler and its key mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from apograph.minicpmv.model import Model
from apograph.minicpmv.resampler import sincos_positions


def test_positions_match_the_original(vectors: dict[str, torch.Tensor], cases: dict[str, Any]) -> None:
    small = vectors["pos_embed_2d_dim256_h5_w7"]
    torch.testing.assert_close(sincos_positions(256, 5, 7), small, atol=1e-6, rtol=0)
    large = sincos_positions(4096, 70, 70)
    points = [large[h, w] for h, w in cases["pos_embed_points_h_w"]]
    torch.testing.assert_close(torch.stack(points), vectors["pos_embed_2d_dim4096_points"], atol=1e-5, rtol=0)


def test_positions_beyond_the_original_table_of_70() -> None:
    assert sincos_positions(8, 1, 452).shape == (1, 452, 8)
    assert torch.equal(sincos_positions(8, 80, 80)[:70, :70], sincos_positions(8, 70, 70))


def test_padding_is_masked(model: Model) -> None:
    torch.manual_seed(0)
    short, long = torch.randn(6, 48), torch.randn(20, 48)
    with torch.inference_mode():
        together = model.resampler([short, long], [(2, 3), (4, 5)])
        alone = model.resampler([short], [(2, 3)])
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shapes", [[(2, 3)], [(3, 2)]])
def test_rows_and_columns_are_told_apart(model: Model, shapes: list[tuple[int, int]]) -> None:
    x = torch.randn(6, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert not torch.allclose(
            model.resampler([x], shapes), model.resampler([x], [shapes[0][::-1]]), atol=1e-3
        )
