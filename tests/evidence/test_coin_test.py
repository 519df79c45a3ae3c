"""Tails far beyond 1e-308 against exact rational arithmetic, and the corrections."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.align.modules import Module
from apograph.evidence.coin_test import PAIRINGS, Coins, coins_of, corrected, two_sided


def exact(heads: int, n: int) -> Fraction:
    most = max(heads, n - heads)
    return min(Fraction(1), 2 * Fraction(sum(comb(n, k) for k in range(most, n + 1)), 2**n))


def log10(x: Fraction) -> float:
    """Of a fraction of any size."""
    return math.log10(x.numerator) - math.log10(x.denominator)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.floats(0, 1))
def test_the_tail_is_exact(n: int, share: float) -> None:
    heads = round(n * share)
    assert two_sided(heads, n) == pytest.approx(log10(exact(heads, n)), abs=1e-9)


@pytest.mark.parametrize(("heads", "n"), [(5504, 5504), (0, 5504), (953, 5504), (14300, 14336), (5400, 5504)])
def test_far_beyond_what_floats_hold(heads: int, n: int) -> None:
    assert two_sided(heads, n) < -308
    assert two_sided(heads, n) == pytest.approx(log10(exact(heads, n)), abs=1e-9)


def test_all_heads_of_the_founding_width() -> None:
    assert two_sided(5504, 5504) - math.log10(2) == pytest.approx(-1656.9, abs=0.05), "one-sided"


def thrown(family: str, log10_p: float) -> Coins:
    return Coins(Module(family, family, (), 1, 1, 1), 90, 100, 0.5, log10_p)  # type: ignore[arg-type]


def test_holm_families_and_pairings() -> None:
    told = corrected([thrown("mlp", -9), thrown("mlp", -7), thrown("vo", -8)])
    two = math.log10(2)
    assert [c.corrected for c in told] == pytest.approx([-9 + 3 * two, -7 + 2 * two, -8 + 2 * two])
    assert PAIRINGS == 2
    assert [c.counts for c in told] == [True, True, True]
    assert not corrected([thrown("mlp", -6.1)])[0].counts


def test_exact_zeros_are_no_coins() -> None:
    products = np.array([[1.0, -2.0, 0.0, 3.0], [1, 4, 0, 9], [1, 4, 1, 1]])
    coins = coins_of(thrown("mlp", 0).module, products)
    assert (coins.heads, coins.n) == (2, 3)
    assert coins.cosine == 1.0
    assert coins.share == pytest.approx(2 / 3)
