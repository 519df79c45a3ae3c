"""Position ids exact; the tower and its other readings within 1e-4 of the original code's values."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apograph.minicpmv.config import Config, Reading
from apograph.minicpmv.model import Model
from apograph.minicpmv.vision import MLP, fused, plane_positions, row_positions

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in (GOLDEN / "images").glob("*.png"))
SMALL = [
    "phone1080x1920",
    "small1to9_37x333",
    "tall1to9_200x1800",
    "tiny100x60",
    "vga640x480",
    "wide1000x300",
]


def test_position_ids_of_every_length() -> None:
    with np.load(GOLDEN / "vision_position_ids.npz") as table:
        ids, start = table["ids"], table["start"]
    for n in range(1, 1201):
        assert np.array_equal(row_positions(n).numpy(), ids[start[n - 1] : start[n - 1] + n]), n


def test_plain_division_would_be_wrong_for_240_lengths() -> None:
    wrong = sum(
        not np.array_equal(row_positions(n).numpy(), [70 * i // n for i in range(n)]) for n in range(1, 1200)
    )
    assert wrong == 240


def test_plane_positions_of_a_full_square_are_the_whole_table() -> None:
    assert torch.equal(plane_positions((70, 70)), torch.arange(4900))
    assert plane_positions((2, 1)).tolist() == [0, 35 * 70]


@pytest.mark.parametrize("name", NAMES)
def test_tower_and_resampler_match_the_original(
    name: str, model: Model, picture: Any, cases: dict[str, Any], vectors: dict[str, torch.Tensor]
) -> None:
    made, stride = picture(name), cases[name]["vision_stride"]
    with torch.inference_mode():
        out = model.vpm(made.pixels, made.patches, "original")
        queries = model.resampler(out, made.patches)
    sampled = torch.cat([rows[::stride] for rows in out])
    torch.testing.assert_close(sampled, vectors[f"{name}.vision_out_every16"], atol=1e-4, rtol=0)
    torch.testing.assert_close(queries, vectors[f"{name}.resampler_out"], atol=1e-4, rtol=0)
    if name == "tiny100x60":
        torch.testing.assert_close(out[0], vectors[f"{name}.vision_out_full"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_of_the_first_patches(
    name: str, model: Model, picture: Any, vectors: dict[str, torch.Tensor]
) -> None:
    made = picture(name)
    longest = max(p.shape[-1] for p in made.pixels) // 14
    with torch.inference_mode():
        for pixels, expected in zip(made.pixels, vectors[f"{name}.vision_embed_first4"], strict=True):
            found = model.vpm.embeddings(pixels[None, :, :, : 14 * 4], row_positions(longest)[:4])[0]
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("reading", "variant"), [("own-mask", "own_mask_1d"), ("two-d", "2d_positions")])
def test_other_readings_match_their_variants(
    name: str, reading: Reading, variant: str, model: Model, picture: Any, variants: dict[str, torch.Tensor]
) -> None:
    made = picture(name)
    with torch.inference_mode():
        found = model.resampler(model.vpm(made.pixels, made.patches, reading), made.patches)
        original = model.resampler(model.vpm(made.pixels, made.patches, "original"), made.patches)
    torch.testing.assert_close(found, variants[f"{name}.resampler_out_{variant}"], atol=1e-4, rtol=0)
    if reading == "two-d" or len({p.shape for p in made.pixels}) > 1:
        assert (found - original).abs().max() > 0.2  # the readings can be told apart


def test_without_batching_the_original_is_the_own_mask_reading(
    config: Config, weights: dict[str, torch.Tensor], picture: Any, variants: dict[str, torch.Tensor]
) -> None:
    from dataclasses import replace

    alone = Model(replace(config, batch_vision_input=False)).eval()
    alone.load_state_dict(weights)
    with torch.inference_mode():
        found = alone.see([picture("vga640x480")])
    torch.testing.assert_close(found, variants["vga640x480.resampler_out_own_mask_1d"], atol=1e-4, rtol=0)


def test_the_fused_product_is_the_product_and_its_gelu(config: Config) -> None:
    torch.manual_seed(0)
    layer = MLP(config).to(torch.bfloat16)
    x = torch.randn(2, 5, config.vision_hidden_size, dtype=torch.bfloat16)
    exact = copy.deepcopy(layer).double()
    expected = exact.fc2(torch.nn.functional.gelu(exact.fc1(x.double()), approximate="tanh"))
    with torch.inference_mode():
        assert fused(x) == torch.backends.mkldnn.is_available()
        torch.testing.assert_close(layer(x).double(), expected, atol=0.02, rtol=0.02)
    assert not fused(x)  # outside of inference it would not be differentiated
    layer(x).sum().backward()
    assert layer.fc1.weight.grad is not None
