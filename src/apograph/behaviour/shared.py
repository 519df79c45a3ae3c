"""Identical wrong answers among the items both get wrong: the default test, its worst case, Γ, the rank.

Null hypothesis: given that both are wrong on an item, their wrong answers coincide there no more often than
those of the panel's models, independently from item to item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.view import View
from apograph.weigh.tails import binomial_tail, poisson_binomial_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

BETA = 1e-9
GAMMA_LEVEL = -6.0
LEAST_GAMMA = 3.0
WEAK_GAMMA = 30.0
"""Γ below which a finding says nothing: with an able panel, and with one weaker than both sides, where
simulated unrelated pairs reached 3.8."""


@dataclass(frozen=True, slots=True)
class Shared:
    """``s`` both wrong, ``m`` identical, ``expected`` the sum of the match chances, ``log10_plug`` with those
    chances taken as known, ``upper`` the upper limit q_U (None: no limit below 1), ``log10_upper``
    the headline log10 p_U (None without a limit or where the binomial is not the worst case), ``gamma`` the
    factor on all odds at which the plug-in p passes 1e-6, ``score`` the standardised excess."""

    s: int
    m: int
    expected: float
    log10_plug: float
    upper: float | None
    log10_upper: float | None
    gamma: float
    score: float


def match_chances(view: View, j: int, panel: Sequence[int]) -> NDArray[Any]:
    """q_i = (k_i + 2q̄)/(w_i + 2), q̄ = (Σk + ½)/(Σw + 1) over the units on which model ``j`` is tried."""
    units = view.tried[j]
    w = view.tried[list(panel)][:, units].sum(axis=0)
    k = view.hit[list(panel)][:, units].sum(axis=0)
    mean = (float(k.sum()) + 0.5) / (float(w.sum()) + 1.0)
    chances: NDArray[Any] = (k + 2.0 * mean) / (w + 2.0)
    return chances


def upper_rate(view: View, panel: Sequence[int], beta: float = BETA) -> float | None:
    """q_U: the mean match rate that a further unrelated model exceeds with probability at most ``beta``.

    The prediction limit of a random-effects model over the panel's *models* (Higgins, Thompson and
    Spiegelhalter 2009, J. R. Stat. Soc. A 172, 137), each with its own rate on the errors that it shares
    with the reference, on the scale y = asin √((m + ⅜)/(s + ¾)), on which a count's own variance is 1/4s:
    ȳ + t(K - 2)·√(τ² + v/K), v the larger of the observed and the counts' own variance, τ² their difference.
    So a panel that agrees by luck does not shrink p, and a small or uneven one widens the limit. None when
    fewer than three models err, or when the limit reaches 1.
    """
    from scipy.special import stdtrit

    used = [(s, m) for s, m in map(view.counts, panel) if s > 0]
    models = len(used)
    if models < 3:
        return None
    s, m = np.array(used, dtype=float).T
    angle = np.arcsin(np.sqrt((m + 0.375) / (s + 0.75)))
    own = float(np.mean(0.25 / (s + 0.5)))
    seen = float(angle.var(ddof=1))
    spread = math.sqrt(max(seen - own, 0.0) + max(seen, own) / models)
    limit = float(angle.mean()) - float(stdtrit(models - 2, beta)) * spread
    return math.sin(limit) ** 2 if limit < math.pi / 2 else None


def worst_case(s: int, m: int, upper: float | None, beta: float = BETA) -> float | None:
    """log10 p_U = β + P(Bin(s, q_U) ≥ m). Among sums of independent trials with mean chance at most q_U the
    binomial is the worst for m ≥ s·q_U + 1 (Hoeffding 1956); None below that or without a limit."""
    if upper is None or m < s * upper + 1:
        return None
    return math.log10(beta + 10.0 ** binomial_tail(s, upper, m))


def sensitivity(chances: NDArray[Any], m: int) -> float:
    """Γ: the factor on all odds q/(1-q) at which log10 p = ``GAMMA_LEVEL``; below 1 when p is larger without.

    Between 1e-6 and 1e6; with fewer matches than could ever reach the level, 1e-6.
    """
    from scipy.optimize import brentq

    def excess(log_gamma: float) -> float:
        odds = chances / (1.0 - chances) * math.exp(log_gamma)
        return poisson_binomial_tail(odds / (1.0 + odds), m) - GAMMA_LEVEL

    low, high = math.log(1e-6), math.log(1e6)
    if m == 0 or excess(low) >= 0:
        return 1e-6
    if excess(high) <= 0:
        return 1e6
    return math.exp(float(brentq(excess, low, high, xtol=1e-3, rtol=1e-4)))


def shared_errors(view: View, j: int, panel: Sequence[int]) -> Shared:
    """The default test of model ``j`` against the view's reference, with match chances from ``panel``."""
    s, m = view.counts(j)
    chances = match_chances(view, j, panel)
    upper = upper_rate(view, panel)
    return Shared(
        s,
        m,
        float(chances.sum()),
        poisson_binomial_tail(chances, m),
        upper,
        worst_case(s, m, upper),
        sensitivity(chances, m) if s else 1e-6,
        standardised(chances, m),
    )


def standardised(chances: NDArray[Any], m: int) -> float:
    """The excess of ``m`` matches over their expectation, in standard deviations."""
    spread = math.sqrt(float((chances * (1 - chances)).sum()))
    return (m - float(chances.sum())) / spread if spread > 0 else 0.0


def rank(view: View, j: int, panel: Sequence[int]) -> tuple[float, dict[int, float]]:
    """The distribution-free p = (1 + #{T_k ≥ T_j})/(K + 1), and the score T of each model.

    Each score is computed with all the others (``j`` included) as the panel, so that it treats them alike:
    p is valid if model ``j`` is exchangeable with the panel, and it is never below 1/(K + 1).
    """
    everyone = [*panel, j]
    scores = {
        one: standardised(match_chances(view, one, [o for o in everyone if o != one]), view.counts(one)[1])
        for one in everyone
    }
    above = sum(scores[k] >= scores[j] for k in panel)
    return (1 + above) / (len(panel) + 1), scores


def left_out(view: View, panel: Sequence[int]) -> dict[int, tuple[float, float]]:
    """Every panel model tested as if it were the candidate, with the rest as panel: (log10 p plug-in, Γ)."""
    found: dict[int, tuple[float, float]] = {}
    for one in panel:
        rest = [o for o in panel if o != one]
        s, m = view.counts(one)
        if rest and s:
            chances = match_chances(view, one, rest)
            found[one] = (poisson_binomial_tail(chances, m), sensitivity(chances, m))
    return found
