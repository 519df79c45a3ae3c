import math
from pathlib import Path

import numpy as np
import pytest

from apograph.behaviour.join import join
from apograph.behaviour.pairs import (
    Counts,
    beyond_panel,
    capa,
    count_pair,
    drift,
    effects,
    independence,
    kappa,
    log_odds,
)
from tests.behaviour.write import answers

FOUNDING = Counts(right=752, first=54, second=12, identical=118, different=64)


def test_the_founding_case() -> None:
    """The published counts: 1000 images, 236 and 194 errors, 182 shared, 87 % identical outputs."""
    assert (FOUNDING.n, FOUNDING.a, FOUNDING.b, FOUNDING.both) == (1000, 236, 194, 182)
    assert FOUNDING.expected == pytest.approx(45.8, abs=0.05)
    assert independence(FOUNDING) == pytest.approx(math.log10(4.3e-133), abs=0.005)
    assert FOUNDING.odds_ratio == pytest.approx(211, abs=0.5)
    found = effects(FOUNDING)
    assert found["agreement"][0] == 0.87
    assert found["kappa"] == pytest.approx((0.805, 0.758, 0.848), abs=1e-3)
    assert found["contained_first"][0] == pytest.approx(0.771, abs=5e-4)
    assert found["contained_second"][0] == pytest.approx(0.938, abs=5e-4)


@pytest.mark.parametrize(("share", "implied"), [(0.865, 113), (0.87, 118), (0.875, 123)])
def test_identical_wrong_answers_that_87_percent_implies(share: float, implied: int) -> None:
    right_in_both = 1000 - 236 - 194 + 182
    assert right_in_both == 752
    assert round(1000 * share) - right_in_both == implied


def test_counts_by_hand(tmp_path: Path) -> None:
    key = "AAAAAA"
    sheet = join([answers(tmp_path / "a.jsonl", "AABBB.", key), answers(tmp_path / "b.jsonl", "ABABCA", key)])
    assert count_pair(sheet, 0, 1) == Counts(1, 1, 1, 1, 1)
    assert count_pair(sheet, 1, 0) == Counts(1, 1, 1, 1, 1)


def test_effect_sizes_by_hand() -> None:
    cells = np.array([4, 1, 1, 2, 2])
    # Accuracies 1/2 each: κ = (0.8 - 0.5) / 0.5; with four options κp = (0.6 - 0.25 - 0.25/3) / (1 - 1/3).
    assert kappa(cells) == pytest.approx(0.6)
    assert capa(cells, 1 / 3) == pytest.approx((0.6 - 1 / 3) / (2 / 3))
    assert capa(cells, 0.0) == pytest.approx((0.6 - 0.25) / 0.75)


def test_the_bootstrap_agrees_with_resampling_items() -> None:
    rng = np.random.default_rng(1)
    items = np.repeat(np.arange(5), [60, 10, 8, 15, 7])
    drawn = [np.bincount(rng.choice(items, len(items)), minlength=5) for _ in range(4000)]
    low, high = np.quantile([kappa(cells) for cells in drawn], (0.025, 0.975))
    found = effects(Counts(60, 10, 8, 15, 7))["kappa"]
    assert found[1:] == pytest.approx((low, high), abs=0.01)


def test_odds_and_the_panel() -> None:
    counts = Counts(10, 2, 3, 4, 1)
    assert log_odds(counts) == pytest.approx(math.log(10.5 * 5.5 / (2.5 * 3.5)))
    assert counts.odds_ratio == pytest.approx(50 / 6)
    found = beyond_panel(FOUNDING, [Counts(700, 100, 100, 50, 50)])
    assert found is not None
    theta, log10_p = found
    error = math.sqrt(1 / 700.5 + 1 / 100.5 + 1 / 100.5 + 1 / 100.5)
    assert theta == pytest.approx(700.5 * 100.5 / 100.5**2 * math.exp(2.326 * error))
    assert independence(FOUNDING) < log10_p < -30
    assert beyond_panel(FOUNDING, []) is None


def test_drift_is_an_exact_sign_test() -> None:
    assert drift(Counts(5, 3, 0, 1, 1)) == pytest.approx(math.log10(2 / 8))
    assert drift(FOUNDING) == pytest.approx(
        math.log10(2 * sum(math.comb(66, k) for k in range(13)) / 2**66), rel=1e-9
    )


def test_swapping_the_two_swaps_the_answer() -> None:
    other = Counts(752, 12, 54, 118, 64)
    assert independence(other) == pytest.approx(independence(FOUNDING))
    assert effects(other)["contained_first"][0] == effects(FOUNDING)["contained_second"][0]
