"""Agreement under an item-response model fitted on the panel: ω, GBT and M4.

The smallest model that serves: right answers follow a Rasch model (item difficulties with a normal prior,
fitted on the panel; abilities of the two sides by maximum posterior), and a wrong answer coincides with the
reference's at the panel's shrunken rate (as in ``shared.match_chances``), whatever the ability. Limits: one
dimension of ability, equal discrimination, wrong choices independent of ability, difficulties from a panel of
tens of models; so the p-values are model-based and descriptive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Sheet
from apograph.weigh.tails import lattice_tail, poisson_binomial_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIOR = 2.0
"""Standard deviation of difficulties (around the mean) and abilities, in logits."""

MOST = 200_000
"""Items that are modelled; of more, evenly spaced ones."""


@dataclass(frozen=True, slots=True)
class Modelled:
    """``matches`` identical answers, right or wrong, of which ``expected`` under the model; ``omega`` the
    standardised excess (Wollack 1997) and log10 p of its normal tail, of GBT and of M4."""

    matches: int
    expected: float
    omega: float
    log10_omega: float
    log10_gbt: float
    log10_m4: float


def modelled_agreement(sheet: Sheet, reference: int, candidate: int, panel: Sequence[int]) -> Modelled | None:
    """ω and GBT given the reference's answers, M4 for both sides' answers. None with fewer than three panel
    models or without a key.

    ω: normal tail of the excess. GBT (van der Linden & Sotaridona 2006): exact Poisson-binomial tail of the
    number of matches. M4 (Maynes 2014): exact tail of a trinomial score in which a wrong match counts as many
    right ones as its average surprise (-log chance) is larger, rounded to a whole number.
    """
    if len(panel) < 3 or not sheet.keyed:
        return None
    items = np.flatnonzero(sheet.valid(reference) & sheet.valid(candidate))
    if len(items) > MOST:
        items = items[np.linspace(0, len(items) - 1, MOST).astype(np.int64)]
    right = np.stack([sheet.right(j)[items] for j in panel])
    tried = np.stack([sheet.valid(j)[items] for j in panel])
    difficulty = fit_rasch(right, tried)
    r, s = sheet.right(reference)[items], sheet.right(candidate)[items]
    p_r, p_s = (_solve(difficulty, one) for one in (r, s))
    tempting = _match_rates(sheet, reference, panel, items)
    chances = np.where(r, p_s, (1.0 - p_s) * tempting)
    same = sheet.same(reference, candidate)[items] & (r == s)
    matches, expected = int(same.sum()), float(chances.sum())
    spread = math.sqrt(float((chances * (1 - chances)).sum()))
    omega = (matches - expected) / spread if spread > 0 else 0.0
    return Modelled(
        matches,
        expected,
        omega,
        _normal_tail(omega),
        poisson_binomial_tail(chances, matches),
        _m4(p_r * p_s, (1 - p_r) * (1 - p_s) * _collisions(sheet, panel, items), same, r),
    )


def fit_rasch(right: NDArray[Any], tried: NDArray[Any], rounds: int = 30) -> NDArray[Any]:
    """Difficulties (items,) from answers (models, items): penalised joint likelihood by alternating Newton
    steps; logits relative to the panel's mean ability."""
    models, items = right.shape
    ability, difficulty = np.zeros(models), np.zeros(items)
    for _ in range(rounds):
        before = difficulty
        for axis in (0, 1):
            p = 1.0 / (1.0 + np.exp(difficulty - ability[:, None]))
            gap, weight = np.where(tried, right - p, 0.0), np.where(tried, p * (1 - p), 0.0)
            if axis == 0:
                centre = difficulty - difficulty.mean()
                step = -(gap.sum(axis=0) + centre / PRIOR**2) / (weight.sum(axis=0) + 1 / PRIOR**2)
                difficulty = difficulty + np.clip(step, -1.0, 1.0)
            else:
                step = (gap.sum(axis=1) - ability / PRIOR**2) / (weight.sum(axis=1) + 1 / PRIOR**2)
                ability = ability + np.clip(step, -1.0, 1.0)
        difficulty, ability = difficulty - ability.mean(), ability - ability.mean()
        if float(np.abs(difficulty - before).max(initial=0.0)) < 1e-4:
            break
    return difficulty


def _solve(difficulty: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Chance of a right answer on every item at the ability that fits ``right`` best."""
    ability = 0.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(difficulty - ability))
        step = float(((right - p).sum() - ability / PRIOR**2) / ((p * (1 - p)).sum() + 1 / PRIOR**2))
        ability += min(max(step, -1.0), 1.0)
        if abs(step) < 1e-8:
            break
    chances: NDArray[Any] = 1.0 / (1.0 + np.exp(difficulty - ability))
    return chances


def _match_rates(sheet: Sheet, reference: int, panel: Sequence[int], items: NDArray[Any]) -> NDArray[Any]:
    wrong = [(sheet.valid(j) & ~sheet.right(j))[items] for j in panel]
    w = np.sum(wrong, axis=0, dtype=float)
    hits = [sheet.same(reference, j)[items] & one for j, one in zip(panel, wrong, strict=True)]
    k = np.where(sheet.right(reference)[items], 0.0, np.sum(hits, axis=0, dtype=float))
    errs = ~sheet.right(reference)[items]
    mean = (float(k[errs].sum()) + 0.5) / (float(w[errs].sum()) + 1.0)
    rates: NDArray[Any] = (k + 2 * mean) / (w + 2)
    return rates


def _collisions(sheet: Sheet, panel: Sequence[int], items: NDArray[Any]) -> NDArray[Any]:
    """Chance that two wrong answers to an item are the same one, from all pairs of panel models, shrunken."""
    wrong = {j: (sheet.valid(j) & ~sheet.right(j))[items] for j in panel}
    pairs = np.zeros(len(items))
    equal = np.zeros(len(items))
    for n, i in enumerate(panel):
        for j in panel[n + 1 :]:
            both = wrong[i] & wrong[j]
            pairs += both
            equal += both & sheet.same(i, j)[items]
    mean = (float(equal.sum()) + 0.5) / (float(pairs.sum()) + 1.0)
    chance: NDArray[Any] = (equal + 2 * mean) / (pairs + 2)
    return chance


def _m4(right: NDArray[Any], wrong: NDArray[Any], same: NDArray[Any], solved: NDArray[Any]) -> float:
    weight = 1
    if len(right) and right.mean() > 0 and wrong.mean() > 0:
        weight = round(math.log(float(wrong.mean())) / math.log(min(float(right.mean()), 0.999)))
    weight = min(max(weight, 1), 20)
    score = int((same & solved).sum()) + weight * int((same & ~solved).sum())
    table = np.stack([1.0 - right - wrong, right, wrong], axis=1)
    # Rounding the chances up to the next 1/512 keeps the groups few and never makes p smaller.
    table[:, 1:] = np.ceil(table[:, 1:] * 512) / 512
    table[:, 0] = np.maximum(1.0 - table[:, 1] - table[:, 2], 0.0)
    table /= table.sum(axis=1, keepdims=True)
    groups, counts = np.unique(table, axis=0, return_counts=True)
    if weight == 1:
        groups = np.stack([groups[:, 0], groups[:, 1] + groups[:, 2]], axis=1)
        return lattice_tail(groups, (0, 1), counts, score)
    return lattice_tail(groups, (0, 1, weight), counts, score)


def _normal_tail(z: float) -> float:
    from scipy.special import log_ndtr

    return float(log_ndtr(-z)) / math.log(10.0)
