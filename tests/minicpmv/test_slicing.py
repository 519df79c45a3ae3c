"""The slicing table of the original code, every row, and properties that hold for any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.minicpmv.slicing import plan

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "slicing.json").read_text("utf-8"))
ROWS = [row for part in ("default", "area_boundaries", "other_max_slice_nums") for row in TABLE[part]]


def test_the_table_has_all_rows() -> None:
    assert len(ROWS) == 509


@pytest.mark.parametrize("part", ["default", "area_boundaries", "other_max_slice_nums"])
def test_every_row_of_the_golden_table(part: str) -> None:
    for row in TABLE[part]:
        made = plan((row["width"], row["height"]), row["max_slice_nums"])
        found = {
            "grid": made.grid and list(made.grid),
            "source_size": list(made.overview),
            "refine_size": made.refined and list(made.refined),
            "slice_size": made.slice_size and list(made.slice_size),
            "n_images": 1 + len(made.boxes),
            "patch_grid_source": [made.overview[1] // 14, made.overview[0] // 14],
            "patch_grid_slice": made.slice_size and [made.slice_size[1] // 14, made.slice_size[0] // 14],
        }
        assert found == {key: row[key] for key in found}, (row["width"], row["height"])


@given(st.integers(1, 6000), st.integers(1, 6000), st.integers(1, 12))
def test_slices_cover_the_refined_picture_in_multiples_of_14(width: int, height: int, most: int) -> None:
    made = plan((width, height), most)
    assert made.overview[0] % 14 == made.overview[1] % 14 == 0
    assert len(made.boxes) <= most
    assert len(made.boxes) != 1 or made.grid == (1, 1)
    if made.refined:
        area = sum((right - left) * (bottom - top) for left, top, right, bottom in made.boxes)
        assert area == made.refined[0] * made.refined[1]
        assert all(side % 14 == 0 for side in made.slice_size or ())
