"""Facts of single matrices, by hand."""

from __future__ import annotations

import numpy as np

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
