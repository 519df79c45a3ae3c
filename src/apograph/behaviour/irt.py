"""Agreement under an item-response model fitted on the panel: ω, GBT and M4.

The smallest model that serves: right answers follow a Rasch model, and a wrong answer coincides with the
reference's at the panel's shrunken rate (as in ``shared.match_chances``), whatever the ability. Difficulties
are normal and never taken as known: every chance is the mean over what the panel, and for ω and GBT the
reference's own answer too, leave open of the item's difficulty. (With the most likely difficulties instead,
unrelated pairs were rejected four times too often at 0.01: an item that the reference solves is easier than
the panel alone lets one think.) The candidate's answers enter its ability only. Limits: one dimension of
ability, equal discrimination, wrong choices independent of ability; so the p-values are descriptive.
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

NODES = np.linspace(-8.0, 8.0, 49)
"""Difficulties, in logits, at which their distributions are held."""

ROUNDS = 25
"""Steps of EM at most."""

MOST = 100_000
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
    models, without a key, or without an item that both sides answered.

    ω: normal tail of the excess. GBT (van der Linden & Sotaridona 2006): exact Poisson-binomial tail of the
    number of matches. M4 (Maynes 2014): exact tail of a trinomial score in which a wrong match counts as many
    right ones as its average surprise (-log chance) is larger, rounded to a whole number.
    """
    if len(panel) < 3 or not sheet.keyed:
        return None
    items = np.flatnonzero(sheet.valid(reference) & sheet.valid(candidate))
    if not len(items):
        return None
    if len(items) > MOST:
        items = items[np.linspace(0, len(items) - 1, MOST).astype(np.int64)]
    right = np.stack([sheet.right(j)[items] for j in panel])
    tried = np.stack([sheet.valid(j)[items] for j in panel])
    known = difficulties(right, tried)
    r, s = sheet.right(reference)[items], sheet.right(candidate)[items]
    able_r, able_s = (_solving(_ability(known, one)) for one in (r, s))
    told = known * np.where(r[:, None], able_r, 1.0 - able_r)
    told /= told.sum(axis=1, keepdims=True)
    p_s = told @ _solving(_ability(told, s))
    tempting = _match_rates(sheet, reference, panel, items)
    chances = np.where(r, p_s, (1.0 - p_s) * tempting)
    both_right, both_wrong = known @ (able_r * able_s), known @ ((1.0 - able_r) * (1.0 - able_s))
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
        _m4(both_right, both_wrong * _collisions(sheet, panel, items), same, r),
    )


def difficulties(right: NDArray[Any], tried: NDArray[Any]) -> NDArray[Any]:
    """What answers (models, items) tell of the items' difficulties: (items, NODES), rows sum to 1.

    Marginal maximum likelihood (Bock & Aitkin 1981) with the roles of items and examinees exchanged: the
    models' abilities and the spread of the difficulties, normal around 0, are fitted by EM.
    """
    solved, missed = (right & tried).T.astype(float), (~right & tried).T.astype(float)
    ability, spread = np.zeros(len(right)), 1.0
    known = np.zeros((solved.shape[0], len(NODES)))
    for _ in range(ROUNDS):
        before = ability
        chance = _solving(ability[:, None])
        known = solved @ np.log(chance) + missed @ np.log1p(-chance) - 0.5 * (NODES / spread) ** 2
        known = np.exp(known - known.max(axis=1, keepdims=True))
        known /= known.sum(axis=1, keepdims=True)
        weights = tried.astype(float) @ known
        ability = _abilities(weights, solved.sum(axis=0))
        spread = max(math.sqrt(float((known @ NODES**2).mean())), 0.1)
        if float(np.abs(ability - before).max(initial=0.0)) < 5e-3:
            break
    return known


def _solving(ability: NDArray[Any] | float) -> NDArray[Any]:
    """Chance of a right answer at every node's difficulty."""
    chance: NDArray[Any] = 1.0 / (1.0 + np.exp(NODES - ability))
    return chance


def _ability(known: NDArray[Any], right: NDArray[Any]) -> float:
    """The ability at which as many right answers are expected as ``right`` holds."""
    return float(_abilities(known.sum(axis=0)[None, :], right.sum()[None])[0])


def _abilities(weights: NDArray[Any], solved: NDArray[Any]) -> NDArray[Any]:
    """(models,) abilities at which ``solved`` (models,) right answers are expected of ``weights`` (models,
    NODES) items of every difficulty; within ±8, which a model that solves all or none reaches."""
    low: NDArray[Any] = np.full(len(solved), -8.0)
    high: NDArray[Any] = np.full(len(solved), 8.0)
    for _ in range(25):
        middle = (low + high) / 2
        few = (weights * _solving(middle[:, None])).sum(axis=1) < solved
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return low


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
