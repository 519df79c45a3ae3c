"""The default test, by hand and by simulation."""

import math
from pathlib import Path

import numpy as np
import pytest

from apograph.behaviour.join import join
from apograph.behaviour.shared import (
    left_out,
    match_chances,
    rank,
    sensitivity,
    shared_errors,
    upper_rate,
    worst_case,
)
from apograph.behaviour.simulate import copied, simulate
from apograph.behaviour.view import View, reference_view
from tests.behaviour.write import answers

# Key, reference, candidate, three panel models. The reference errs on items 0-4.
KEY = "AAAAAAAA"
GIVEN = ("BBBBBAAA", "BBCAABBA", "BCBAAAAA", "BCAABABA", "ABBCAAAA")


@pytest.fixture
def view(tmp_path: Path) -> View:
    sheet = join([answers(tmp_path / f"m{n}.jsonl", given, KEY) for n, given in enumerate(GIVEN)])
    return reference_view(sheet, 0)


def test_the_view_by_hand(view: View) -> None:
    assert view.tried.astype(int).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1],
        [0, 1, 1, 1, 0],
    ]
    assert view.hit.astype(int).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 0, 1],
        [0, 1, 1, 0, 0],
    ]
    assert view.counts(1) == (3, 2)


def test_match_chances_by_hand(view: View) -> None:
    # Both-wrong items 0, 1, 2: k = 2, 1, 2 and w = 2, 3, 2; q̄ = 5.5 / 8.
    mean = 5.5 / 8
    expected = [(2 + 2 * mean) / 4, (1 + 2 * mean) / 5, (2 + 2 * mean) / 4]
    assert match_chances(view, 1, [2, 3, 4]) == pytest.approx(expected)
    q = expected
    two_or_more = q[0] * q[1] * q[2] + sum(
        q[i] * q[j] * (1 - q[k]) for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0))
    )
    found = shared_errors(view, 1, [2, 3, 4])
    assert (found.s, found.m) == (3, 2)
    assert found.expected == pytest.approx(sum(q))
    assert found.log10_plug == pytest.approx(math.log10(two_or_more))
    assert found.score == pytest.approx((2 - sum(q)) / math.sqrt(sum(p * (1 - p) for p in q)))


def test_the_upper_limit_by_hand(view: View) -> None:
    # Three models leave one degree of freedom: t at 0.95 is 6.313752, and the limit passes 1.
    angle = math.asin(math.sqrt(2.375 / 3.75))
    assert angle + 6.313752 * math.sqrt(0.25 / 3.5 / 3) > math.pi / 2
    assert upper_rate(view, [2, 3, 4], 0.05) is None
    assert upper_rate(view, [2, 3], 0.05) is None
    # Twelve models with no match in 100: equal, so only the counts' own variance; t(10) at 0.95 is 1.812461.
    none = View(("r",) * 12, np.ones((12, 100), bool), np.zeros((12, 100), bool), 0)
    limit = math.asin(math.sqrt(0.375 / 100.75)) + 1.812461 * math.sqrt(0.25 / 100.5 / 12)
    assert upper_rate(none, range(12), 0.05) == pytest.approx(math.sin(limit) ** 2, rel=1e-6)
    # Half of them match always: the spread between models is far beyond that of the counts.
    half = View(none.names, none.tried, np.repeat([[True], [False]] * 6, 100, axis=1), 0)
    assert upper_rate(half, range(12), 0.05) is None


def test_the_worst_case_holds_only_where_the_binomial_is_the_worst() -> None:
    assert worst_case(100, 20, 0.2) is None
    assert worst_case(100, 21, 0.2) is not None
    assert worst_case(10, 10, 0.5, beta=0.0) == pytest.approx(10 * math.log10(0.5))
    assert worst_case(100, 100, 0.01) == pytest.approx(-9)
    assert worst_case(10, 10, None) is None


def test_gamma_by_hand() -> None:
    # One item, one match: p is q itself. Odds of 1e-9 reach p = 1e-6 when raised by a thousand.
    assert sensitivity(np.array([1e-9]), 1) == pytest.approx(1000, rel=1e-3)
    assert sensitivity(np.array([0.5]), 1) == pytest.approx(1e-6, rel=0.01)
    assert sensitivity(np.array([0.5] * 10), 0) == 1e-6


def test_rank_is_one_over_all_for_a_clear_first() -> None:
    rng = np.random.default_rng(5)
    sheet = copied(rng, simulate(rng, 400, [0.5] * 11), 0, 1, 0.9)
    view = reference_view(sheet, 0)
    p, scores = rank(view, 1, range(2, 11))
    assert p == pytest.approx(0.1)
    assert max(scores, key=scores.__getitem__) == 1
    assert set(left_out(view, range(2, 11))) == set(range(2, 11))


def test_unrelated_models_are_not_rejected_and_copies_are() -> None:
    """80 unrelated pairs on items of uneven difficulty and uneven wrong answers: at 0.01 the plug-in test
    rejects at most 4 (a binomial 99.9 % limit), at 1e-4 none; a copy of 60 % of the answers is always
    found."""
    rng = np.random.default_rng(11)
    plain, copies, gammas = [], [], []
    panel = range(2, 14)
    for _ in range(80):
        sheet = simulate(rng, 300, rng.normal(0.5, 0.5, 14), options=5)
        found = shared_errors(reference_view(sheet, 0), 1, panel)
        plain.append(found.log10_plug)
        gammas.append(found.gamma)
        copy = reference_view(copied(rng, sheet, 0, 1, 0.6), 0)
        copies.append(shared_errors(copy, 1, panel).log10_plug)
    assert sum(p <= -2 for p in plain) <= 4
    assert sum(p <= -4 for p in plain) == 0
    assert max(gammas) < 3
    assert sum(p <= -6 for p in copies) >= 76


def test_open_answers_give_a_stated_strength() -> None:
    rng = np.random.default_rng(2)
    sheet = simulate(rng, 1000, [1.0] * 22, options=400)
    panel = range(2, 22)
    unrelated = shared_errors(reference_view(sheet, 0), 1, panel)
    assert unrelated.log10_upper is None
    found = shared_errors(reference_view(copied(rng, sheet, 0, 1, 0.8), 0), 1, panel)
    assert found.upper is not None
    assert found.upper < 0.5
    assert found.log10_upper is not None
    assert found.log10_upper == pytest.approx(-9, abs=0.01)
