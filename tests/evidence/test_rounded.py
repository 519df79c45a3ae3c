"""A base that was rounded before siblings were made from it makes neither a copy of the other."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from apograph.evidence.descent_facts import _facts
from apograph.evidence.descent_family import Matrix
from apograph.evidence.rounded import also_rounded, rounded
from tests.evidence.arrays_store import ArraysStore, bf16

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


def test_only_types_that_a_side_has_and_that_are_coarser_are_tried() -> None:
    fine, half = np.float32([[1.0001, 2]]), np.float16([[1, 2]])
    stores = {
        "F32": ArraysStore({"w": fine}),
        "F16": ArraysStore({"w": half}),
        "BF16": ArraysStore({"w": bf16(fine)}),
    }

    def tried(base: str, *sides: str) -> list[str]:
        return [s.dtype("w") for s in also_rounded(stores[base], [stores[side] for side in sides])]

    assert tried("F32", "F32", "F16") == ["F32", "F16"]
    assert tried("F32", "BF16", "F16") == ["F32", "BF16", "F16"]
    assert tried("F16", "BF16", "F32") == ["F16", "BF16"]
    assert tried("BF16", "F16", "F32") == ["BF16"]
    assert list(list(also_rounded(stores["F32"], [stores["BF16"]]))[1].block("w", 0, 2)) == [1, 2]
