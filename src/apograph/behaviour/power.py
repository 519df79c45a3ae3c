"""How many items must both models get wrong, so that identical wrong answers are seen? Planning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 2000
PANEL_RATES = (0.01, 0.05, 0.2, 1 / 3, 0.6)
CANDIDATE_RATES = (0.5, 0.65, 0.8, 0.9)


def items_needed(
    panel: float, candidate: float, alpha: float = 1e-6, power: float = 0.95, most: int = MOST
) -> int | None:
    """The least number of both-wrong items from which on (for it and every larger number: power saw-tooths) a
    binomial test at ``alpha`` against the match rate ``panel`` has at least ``power`` when the candidate's is
    ``candidate``. None when that needs more than ``most``."""
    if candidate <= panel:
        return None
    needed: int | None = None
    # Beyond twice the answer (and some) the saw-tooth no longer reaches down; the tests check it further out.
    n = 0
    while n < (most if needed is None else min(2 * needed + 50, 2 * most)):
        n += 1
        if power_at(n, panel, candidate, alpha) >= power:
            needed = n if needed is None else needed
        else:
            needed = None
    return needed if needed is not None and needed <= most else None


def power_at(n: int, panel: float, candidate: float, alpha: float) -> float:
    """Power of the one-sided exact binomial test with ``n`` items."""
    null = _log_tails(n, panel)
    reject = int(np.searchsorted(-null, -math.log(alpha)))
    return 0.0 if reject > n else math.exp(float(_log_tails(n, candidate)[reject]))


def _log_tails(n: int, q: float) -> NDArray[Any]:
    """ln P(Bin(n, q) ≥ m) for m = 0 … n."""
    from scipy.special import gammaln

    x = np.arange(n + 1)
    logs = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1) + x * math.log(q) + (n - x) * math.log1p(-q)
    tails: NDArray[Any] = np.minimum(np.logaddexp.accumulate(logs[::-1])[::-1], 0.0)
    return tails
