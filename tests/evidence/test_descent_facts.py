"""Facts of single matrices, by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from apograph.evidence.descent_facts import _facts
from apograph.evidence.descent_family import Matrix


def tails_of(*rows: np.ndarray) -> set[tuple[int, int]]:
    matrix = Matrix("w", dict(enumerate(rows)), dict.fromkeys(range(len(rows)), 0.0))
    return set(_facts(matrix, len(rows), 2).tails)


def test_strangers_share_no_change_from_a_third() -> None:
    """A smaller stranger's change from the base is mostly the base itself, taken away: slope 0.9 and more."""
    random = np.random.default_rng(3)
    a, b, base = (random.standard_normal((64, 64)) for _ in range(3))
    assert tails_of(0.2 * a, b, base) == set()
    assert tails_of(base + 0.1 * a, base + 0.1 * b, base) == {(0, 1), (1, 0)}
    assert tails_of(base + 0.1 * a, b, base) == set()


def cut(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 0.7, 0, x)


@pytest.mark.parametrize(
    "both",
    [lambda x: 0.9 * x, lambda x: np.clip(x, -2, 2), cut, lambda x: x],
    ids=["scaled", "clipped", "pruned", "as trained"],
)
def test_what_was_done_to_both_siblings_is_no_shared_change(both: Callable[[np.ndarray], np.ndarray]) -> None:
    """Far larger than what each one learned, and a function of the base's values alone."""
    random = np.random.default_rng(5)
    base, *own = (random.standard_normal((128, 96)) for _ in range(4))
    sides = [base + 0.02 * x for x in own]
    child = sides[0] + 0.02 * own[2]
    for parent, other, slope in ((sides[0], sides[1], 0.0), (sides[0], child, 1.0)):
        rows = dict(enumerate((both(parent), both(other), base)))
        tails = _facts(Matrix("w", rows, dict.fromkeys(rows, 0.0)), 3, 2).tails
        assert tails[0, 1].slope == pytest.approx(slope, abs=0.25)


def test_siblings_of_a_low_rank_share_what_was_taken_away() -> None:
    random = np.random.default_rng(7)
    base, *own = (random.standard_normal((96, 64)) for _ in range(3))
    sides = [base + 0.02 * x for x in own]

    def reduced(x: np.ndarray) -> np.ndarray:
        u, s, v = np.linalg.svd(x, full_matrices=False)
        return (u[:, :16] * s[:16]) @ v[:16]

    assert tails_of(*sides, base) == {(0, 1), (1, 0)}
    assert tails_of(reduced(sides[0]), reduced(sides[1]), base) == set()
    assert tails_of(reduced(sides[0]), sides[1], base) == {(0, 1), (1, 0)}
