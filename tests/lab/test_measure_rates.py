"""Error rates by hand."""

from __future__ import annotations

import numpy as np
import pytest

from apograph.lab.measure.rates import above, auc, by_models, clopper_pearson, threshold, without_each


def test_clopper_pearson_of_none_of_thirty() -> None:
    assert clopper_pearson(0, 30) == pytest.approx(1 - 0.05 ** (1 / 30))
    assert clopper_pearson(5, 5) == 1


def test_auc_counts_ties_half() -> None:
    assert auc([2.0, 3.0], [1.0, 2.0]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert np.isnan(auc([], [1.0]))


def test_threshold_leaves_one_per_cent_above() -> None:
    scores = [float(n) for n in range(200)]
    assert threshold(scores) == 197
    assert above(scores, threshold(scores)) == 0.01
    assert threshold([1.0, 2.0]) == 2


def test_leaving_out_the_guilty_model_leaves_nothing() -> None:
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    values = np.array([1.0, 1.0, 0.0])
    assert without_each(pairs, values) == (0.0, 1.0)


def test_bootstrap_over_models_is_wider_than_over_pairs() -> None:
    names = [f"m{n}" for n in range(20)]
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    values = np.array([float("m0" in pair) for pair in pairs])
    low, high = by_models(pairs, values, lambda v, w: float((v * w).sum() / w.sum()), 300)
    assert low == 0.0
    assert high > 0.2  # over 190 pairs taken as independent it would end at 0.15
