"""The rounding of a merged product names the side it was merged into, whichever side is asked first."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from apograph.evidence.rounding import FLOATS
from apograph.evidence.rounding_side import source_of_product


@pytest.mark.parametrize("name", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("stranger", [False, True])
def test_the_side_whose_sum_was_rounded_came_second(name: str, stranger: bool) -> None:
    random = np.random.default_rng(5)
    kind = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32}[name]
    parent = (0.02 * random.standard_normal((256, 320))).astype(kind).astype(np.float64)
    product = 0.003 * random.standard_normal((256, 4)) @ random.standard_normal((4, 320))
    child = (parent + product).astype(kind).astype(np.float64)
    if stranger:  # rounding of another size on top: neither side's
        child += 0.001 * random.standard_normal(child.shape)
    types = FLOATS[name], FLOATS[name]
    expected = (None, None) if stranger else ("reference", "candidate")
    assert source_of_product(parent, child, 4, *types) == expected[0]
    assert source_of_product(child, parent, 4, *types) == expected[1]


def test_two_products_merged_into_a_third_name_no_side() -> None:
    random = np.random.default_rng(6)
    base = (0.02 * random.standard_normal((256, 320))).astype(np.float32).astype(np.float64)
    one, two = (
        (base + 0.003 * random.standard_normal((256, 4)) @ random.standard_normal((4, 320))).astype(kind)
        for kind in (np.float32, ml_dtypes.bfloat16)
    )
    assert source_of_product(one, two.astype(np.float64), 8, FLOATS["F32"], FLOATS["BF16"]) is None
    assert source_of_product(two.astype(np.float64), one, 8, FLOATS["BF16"], FLOATS["F32"]) is None
