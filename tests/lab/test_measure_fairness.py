"""Coins of the lab's models: hand-counted tails, fairness of strangers, unfairness of copies."""

from __future__ import annotations

import numpy as np
import pytest

from apograph.lab.measure.fairness import Module, distance, fairness, resigned, tails


def module(coins: np.ndarray, models: int) -> Module:
    pairs = np.array([(a, b) for a in range(models) for b in range(a + 1, models)])
    return Module("0", "mlp", coins.astype(np.int8), pairs)


def test_tails_of_four_coins() -> None:
    # max(X, 4 - X) is at least 2 always, at least 3 in 10 of 16 cases, 4 in 2 of 16.
    assert tails(4)[2:] == pytest.approx([1, 10 / 16, 2 / 16, 0])


def test_tails_of_three_coins() -> None:
    assert tails(3)[2:] == pytest.approx([1, 2 / 8, 0])


def test_distance_from_uniform() -> None:
    assert distance(np.array([0.5])) == 0.5
    assert distance(np.array([0.25, 0.75])) == 0.25


def test_fair_coins_are_uniform_and_unfair_ones_are_not() -> None:
    random = np.random.default_rng(1)
    signs = random.integers(0, 2, (8, 64)) * 2 - 1
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8)]
    fair = module(np.stack([signs[a] * signs[b] for a, b in pairs]), 8)
    assert fairness([fair], 99).ks_p > 0.01
    same = module(np.ones((28, 64)), 8)
    found = fairness([same], 99)
    assert found.ks_p == 0.01
    assert found.variance == 64
    assert found.p["mlp"].max() == pytest.approx(2 / 2**64)


def test_resigning_flips_whole_models() -> None:
    ones = module(np.ones((3, 1000)), 3)
    heads = np.array(resigned([ones], np.random.default_rng(2))[0])
    # The three products of three signs multiply to +1 in every unit: 0 or 2 of them are tails.
    assert (3000 - heads.sum()) % 2 == 0
    assert abs(heads - 500).max() < 100
