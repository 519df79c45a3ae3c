"""Every tail against exact rational arithmetic; SciPy only where it is known to be right."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.weigh.tails import (
    binomial_tail,
    hypergeometric_tail,
    lattice_tail,
    poisson_binomial_tail,
    poisson_tail,
    sign_test,
)


def log10(value: Fraction) -> float:
    """log10 of a fraction of any size."""
    return math.log10(value.numerator) - math.log10(value.denominator) if value else -math.inf


def exact_sum(rows: list[dict[int, Fraction]], threshold: int) -> Fraction:
    mass = {0: Fraction(1)}
    for row in rows:
        following: dict[int, Fraction] = {}
        for total, p in mass.items():
            for value, chance in row.items():
                following[total + value] = following.get(total + value, Fraction(0)) + p * chance
        mass = following
    return sum((p for total, p in mass.items() if total >= threshold), Fraction(0))


def test_by_hand() -> None:
    assert binomial_tail(3, 0.5, 2) == pytest.approx(math.log10(0.5))
    assert binomial_tail(10, 0.1, 10) == pytest.approx(-10)
    assert hypergeometric_tail(4, 2, 2, 2) == pytest.approx(math.log10(1 / 6))
    # Odds ratio 3: weights 1, 4·3, 1·9 for an overlap of 0, 1, 2.
    assert hypergeometric_tail(4, 2, 2, 1, math.log(3)) == pytest.approx(math.log10(21 / 22))
    assert poisson_binomial_tail([0.5, 0.2], 2) == pytest.approx(-1)
    assert poisson_binomial_tail([0.5, 0.2], 1) == pytest.approx(math.log10(0.6))
    assert sign_test(5, 5) == pytest.approx(math.log10(2 / 32))
    assert sign_test(2, 4) == 0.0
    assert poisson_tail(2.0, 1, 2) == pytest.approx(math.log10(4 * math.exp(-2)))


def test_the_founding_case() -> None:
    exact = sum(math.comb(236, x) * math.comb(764, 194 - x) for x in range(182, 195))
    truth = log10(Fraction(exact, math.comb(1000, 194)))
    assert hypergeometric_tail(1000, 236, 194, 182) == pytest.approx(truth, rel=1e-11)
    assert truth == pytest.approx(math.log10(4.3e-133), abs=0.005)


@pytest.mark.parametrize(("m", "n"), [(0, 5), (6, 5), (5, 5), (1, 5), (4, 5)])
def test_edges_of_the_poisson_binomial(m: int, n: int) -> None:
    q = [Fraction(k + 1, 17) for k in range(n)]
    truth = exact_sum([{0: 1 - p, 1: p} for p in q], m)
    assert poisson_binomial_tail([float(p) for p in q], m) == pytest.approx(log10(truth), abs=1e-9)


def test_far_tail_where_libraries_fail() -> None:
    q = [Fraction(k % 7 + 1, 100) for k in range(150)]
    truth = exact_sum([{0: 1 - p, 1: p} for p in q], 100)
    assert log10(truth) < -95
    assert poisson_binomial_tail([float(p) for p in q], 100) == pytest.approx(log10(truth), rel=1e-10)


def test_sure_and_impossible_terms() -> None:
    assert poisson_binomial_tail([1.0, 1.0, 0.0, 0.25], 3) == pytest.approx(math.log10(0.25))
    assert poisson_binomial_tail([1.0, 0.0], 2) == -math.inf
    assert poisson_binomial_tail([1.0, 0.5], 1) == 0.0
    assert poisson_binomial_tail([], 0) == 0.0
    assert poisson_binomial_tail([], 1) == -math.inf


fractions = st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(999, 1000), max_denominator=1000)


@settings(max_examples=60, deadline=None)
@given(st.lists(fractions, min_size=1, max_size=25), st.integers(0, 25))
def test_poisson_binomial_is_exact(q: list[Fraction], m: int) -> None:
    truth = exact_sum([{0: 1 - p, 1: p} for p in q], m)
    got = poisson_binomial_tail([float(p) for p in q], m)
    assert got == pytest.approx(log10(truth), abs=1e-9) if truth else got == -math.inf


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(fractions, fractions), min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 50)
)
def test_trinomial_score_is_exact(
    pairs: list[tuple[Fraction, Fraction]], weight: int, threshold: int
) -> None:
    rows = [(a, (1 - a) * b) for a, b in pairs]
    truth = exact_sum([{0: 1 - a - b, 1: a, weight + 1: b} for a, b in rows], threshold)
    table = np.array([[float(1 - a - b), float(a), float(b)] for a, b in rows])
    got = lattice_tail(table, (0, 1, weight + 1), np.ones(len(rows)), threshold)
    assert got == pytest.approx(log10(truth), abs=1e-8) if truth else got == -math.inf


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_noncentral_hypergeometric_is_exact(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 60))
    a, b = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    s = data.draw(st.integers(0, min(a, b)))
    odds = data.draw(st.fractions(Fraction(1, 20), Fraction(200), max_denominator=50))
    weights = {
        x: math.comb(a, x) * math.comb(total - a, b - x) * odds**x
        for x in range(max(0, a + b - total), min(a, b) + 1)
    }
    truth = sum((w for x, w in weights.items() if x >= s), Fraction(0)) / sum(weights.values())
    got = hypergeometric_tail(total, a, b, s, math.log(odds))
    assert got == pytest.approx(log10(truth), abs=1e-10)


def test_a_window_of_a_long_sum_agrees_with_the_binomial() -> None:
    # 200,000 equal terms use a window of the distribution; the binomial sum does not.
    for m in (20_000, 20_500, 24_000, 60_000):
        assert poisson_binomial_tail(np.full(200_000, 0.1), m) == pytest.approx(
            binomial_tail(200_000, 0.1, m), rel=1e-8, abs=1e-9
        )


def test_many_different_probabilities_are_rounded_up_and_hardly() -> None:
    from scipy.stats import norm

    q = np.random.default_rng(7).uniform(0.05, 0.4, 20_000)
    m = int(q.sum() + 3 * math.sqrt((q * (1 - q)).sum()))
    near = math.log10(norm.sf((m - 0.5 - q.sum()) / math.sqrt((q * (1 - q)).sum())))
    assert poisson_binomial_tail(q, m) == pytest.approx(near, abs=0.05)
    assert poisson_binomial_tail(q, m) >= poisson_binomial_tail(np.floor(q * 3000) / 3000, m)


def test_scipy_agrees_in_the_middle() -> None:
    from scipy.stats import binom, hypergeom, nchypergeom_fisher

    assert 10 ** binomial_tail(40, 0.3, 20) == pytest.approx(binom.sf(19, 40, 0.3), rel=1e-9)
    assert 10 ** hypergeometric_tail(100, 30, 20, 12) == pytest.approx(
        hypergeom.sf(11, 100, 30, 20), rel=1e-9
    )
    assert 10 ** hypergeometric_tail(100, 30, 20, 12, math.log(2.5)) == pytest.approx(
        nchypergeom_fisher.sf(11, 100, 30, 20, 2.5), rel=1e-7
    )
