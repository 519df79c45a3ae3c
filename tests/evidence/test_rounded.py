"""A base that was rounded before siblings were made from it makes neither a copy of the other."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from apograph.evidence.descent_facts import _facts
from apograph.evidence.descent_family import Matrix
from apograph.evidence.rounded import one_origin, rounded

RANDOM = np.random.default_rng(6)
BASE = RANDOM.standard_normal((64, 64))
START = BASE.astype(ml_dtypes.bfloat16).astype(np.float64)


def slopes(a: np.ndarray, b: np.ndarray) -> list[float]:
    matrix = Matrix("w", dict(enumerate((a, b, BASE))), dict.fromkeys(range(3), 0.0))
    tails = _facts(matrix, 3, 2).tails
    return [tails[pair].slope for pair in ((0, 1), (1, 0))]


def test_siblings_of_a_rounded_base_share_no_change() -> None:
    a, b = (START + 1e-4 * RANDOM.standard_normal(BASE.shape) for _ in range(2))
    assert max(abs(slope) for slope in slopes(a, b)) < 0.3  # 0.99 if the base is taken as it is


def test_a_child_in_the_rounded_line_keeps_its_parents_change() -> None:
    a = START + 1e-2 * RANDOM.standard_normal(BASE.shape)
    forth, back = slopes(a, a + 1e-2 * RANDOM.standard_normal(BASE.shape))
    assert abs(forth - 1) < 0.15
    assert back < 0.8


def test_a_base_that_was_not_rounded_stays_as_it_is() -> None:
    a = BASE + 1e-4 * RANDOM.standard_normal(BASE.shape)
    assert abs(slopes(a, a + 1e-4 * RANDOM.standard_normal(BASE.shape))[0] - 1) < 0.15


def test_values_beyond_a_types_range_stay() -> None:
    assert list(rounded(np.array([1.0001, 1e6], np.float32), "F16")) == [1.0, 1e6]


def test_a_base_in_float16_is_rounded_to_where_the_sides_were() -> None:
    """One in sixteen values that were rounded to float16 lies half way between two of bfloat16."""
    half = BASE.astype(np.float16).astype(np.float64)
    assert (rounded(half, "BF16") != START).mean() > 0.05
    assert (rounded(half, "BF16", START + 1e-5 * RANDOM.standard_normal(BASE.shape)) != START).mean() < 0.01


def test_two_roundings_of_one_release() -> None:
    fine = BASE.astype(np.float32)
    brain, half = (fine.astype(kind).astype(np.float32) for kind in (ml_dtypes.bfloat16, np.float16))
    assert one_origin(brain, half)
    assert one_origin(half, fine)
    assert not one_origin(half, np.float32(1.001) * fine)
    assert not one_origin(brain, fine + np.float32(0.01))


def test_what_went_through_two_types_has_its_origin_still() -> None:
    fine = (1e-5 * BASE).astype(np.float32)  # float16 is the coarser one here
    through = fine.astype(ml_dtypes.bfloat16).astype(np.float16).astype(np.float32)
    brain = fine.astype(ml_dtypes.bfloat16).astype(np.float32)
    assert one_origin(through, fine)
    assert one_origin(through, brain)
    assert not one_origin(through, fine + np.float32(1e-7))
