"""Non-negative fits of changes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from apograph.evidence.merge import fit, pooled


def gram(*points: tuple[float, ...]) -> np.ndarray:
    vectors = np.array(points)
    return vectors @ vectors.T


def test_coefficients_and_what_is_left() -> None:
    # base 0; parts along two axes; the target has 0.6 and 0.4 of them and 0.1 of its own.
    found = fit(gram((0, 0, 0), (1, 0, 0), (0, 1, 0), (0.6, 0.4, 0.1)), 3, 0, [1, 2])
    assert found is not None
    assert found.coefficients == pytest.approx((0.6, 0.4))
    assert found.unexplained == pytest.approx(0.01 / 0.53)
    assert found.without == pytest.approx((0.37 / 0.53, 0.17 / 0.53))
    assert found.counts
    assert found.needed == (True, True)


def test_a_negative_part_is_left_out() -> None:
    found = fit(gram((0, 0), (1, 0), (1, 1), (1, -0.5)), 3, 0, [1, 2])
    assert found is not None
    assert found.coefficients == pytest.approx((1, 0))
    assert found.needed == (True, False)


def test_the_origin_need_not_be_the_fixed_member() -> None:
    points = np.array([(2, 1), (3, 1), (2, 2), (2.5, 1.5)])  # member 0 is the base, nothing is at 0
    found = fit(gram(*map(tuple, points)), 3, 0, [1, 2])
    assert found is not None
    assert found.coefficients == pytest.approx((0.5, 0.5))


def test_nothing_changed_has_no_fit() -> None:
    assert fit(gram((0, 0), (1, 0), (0, 0)), 2, 0, [1]) is None


def test_pooled_over_matrices() -> None:
    made = [fit(gram((0, 0), (1, 0), (0, 1), (c, 1 - c)), 3, 0, [1, 2]) for c in (0.4, 0.6)]
    total = pooled([f for f in made if f is not None], [1.0, 3.0])
    assert total.means == pytest.approx((0.55, 0.45))
    assert total.ranges[0] == pytest.approx((0.4, 0.6))
    assert total.needed == (True, True)
    assert total.n == 2
