"""Which releases a merge needs: a small part of it is one, an ingredient's rounding is none."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from apograph.evidence.descent_facts import Facts
from apograph.evidence.merge_finding import merge
from apograph.evidence.rounding import FLOATS

RANDOM = np.random.default_rng(4)
BASE = 0.05 * RANDOM.standard_normal(20000)
TASK = RANDOM.standard_normal(20000)
"""The direction that all fine-tunes share."""
A, C, D = (BASE + 0.002 * (TASK + RANDOM.standard_normal(20000)) for _ in range(3))


def facts(*members: np.ndarray, stored: str = "F32") -> list[Facts]:
    """Reference, candidate, base, and further releases, these in another type."""
    moved = np.array([m - members[0] for m in members])
    kind = FLOATS[stored]
    lost = [float((kind.ulp(m) ** 2).sum()) / 12 if n > 2 else 0.0 for n, m in enumerate(members)]
    return [Facts("w", len(BASE), moved @ moved.T, {}, np.array(lost))]


def shares(found: list[Facts]) -> tuple[float, ...]:
    made = merge(found, 1, 2, [0, 3, 4], True)
    assert made is not None
    return made.total.means


def test_a_small_part_is_told_with_its_share() -> None:
    made = 0.1 * A + 0.5 * C + 0.4 * D  # without it 0.3 % of the change is left
    assert shares(facts(A, made, BASE, C, D)) == pytest.approx((0.1, 0.5, 0.4))


@pytest.mark.parametrize("stored", ["F32", "BF16"])
def test_another_merge_of_the_same_ingredients_is_no_part(stored: str) -> None:
    other, made = 0.7 * C + 0.3 * D, 0.4 * C + 0.6 * D
    given = [v.astype(ml_dtypes.bfloat16).astype(float) if stored == "BF16" else v for v in (C, D)]
    assert shares(facts(other, made, BASE, *given, stored=stored))[0] == 0
