from itertools import product

import pytest

from apograph.behaviour.power import CANDIDATE_RATES, PANEL_RATES, items_needed, power_at

# Items needed at 1e-6 for a power of 95 %: rows are the panel's rates, columns the candidate's.
TABLE = (
    (16, 12, 7, 6),
    (28, 19, 12, 10),
    (98, 45, 24, 17),
    (359, 101, 46, 29),
    (None, None, 224, 88),
)


def test_the_published_table() -> None:
    found = tuple(tuple(items_needed(panel, own) for own in CANDIDATE_RATES) for panel in PANEL_RATES)
    assert found == TABLE


def test_power_by_hand() -> None:
    # Six items at 0.01: six matches have probability 1e-12, five 6e-10, four 1.5e-7, three 2e-5.
    assert power_at(6, 0.01, 0.9, 1e-6) == pytest.approx(0.9**6 + 6 * 0.9**5 * 0.1 + 15 * 0.9**4 * 0.01)
    assert power_at(1, 0.01, 0.9, 1e-6) == 0.0


@pytest.mark.parametrize(("panel", "own"), [(0.2, 0.5), (1 / 3, 0.65), (0.6, 0.9)])
def test_the_saw_never_reaches_down_again(panel: float, own: float) -> None:
    needed = items_needed(panel, own)
    assert needed is not None
    assert power_at(needed - 1, panel, own, 1e-6) < 0.95
    assert min(power_at(n, panel, own, 1e-6) for n in range(needed, 8 * needed, 3)) >= 0.95


def test_no_difference_needs_no_number() -> None:
    assert all(items_needed(a, b) is None for a, b in product((0.5, 0.9), (0.1, 0.5)))
