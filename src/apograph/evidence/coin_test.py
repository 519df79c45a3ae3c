"""The exact test of sign coins: one two-sided p for each module, corrected for their number.

Null hypothesis: in at least one of the two releases the module's initial weights were drawn independently of
the other from a law that is symmetric in sign, training and conversion commute with flips, and nobody chose
signs, order or basis in view of the other. Then the sign of each unit's inner product with its counterpart
is a fair coin, whatever data, order and tokenizer the two shared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

import numpy as np

from apograph.align.modules import FAMILIES, Module
from apograph.evidence.coin_products import Products

Pairing: TypeAlias = Literal["identity", "content", "rotated"]
PAIRINGS = 2
"""Ways in which units are paired: as they stand, and by content (in a basis chosen before, without a look at
any coin). Every p is multiplied by it, also where the first way was enough."""
FLOOR_P, FLOOR_SHARE = -6.0, 0.6
"""A module counts if its corrected p is at most 10^-6 and more than 60 % of its coins agree."""


@dataclass(frozen=True, slots=True)
class Coins:
    """The coins of one module. ``heads`` of ``n`` (exact zeros are dropped); ``log10_p`` of the module alone
    and ``corrected`` by Holm within its family and Bonferroni over families and pairings; ``cosine`` is the
    median |cosine| of paired units."""

    module: Module
    heads: int
    n: int
    cosine: float
    log10_p: float
    corrected: float = 0.0
    pairing: Pairing = "identity"

    @property
    def share(self) -> float:
        """Of the coins that agree, heads or tails, whichever are more."""
        return max(self.heads, self.n - self.heads) / self.n if self.n else 0.5

    @property
    def speaks(self) -> bool:
        """Whether the module would pass the floor if it were the only one."""
        return self.log10_p <= FLOOR_P and self.share > FLOOR_SHARE

    @property
    def counts(self) -> bool:
        """Whether the module passes the floor."""
        return self.corrected <= FLOOR_P and self.share > FLOOR_SHARE


def coins_of(module: Module, products: Products, pairing: Pairing = "identity") -> Coins:
    """The coins of one module, before any correction."""
    dot, own, other = products
    heads, tails = int((dot > 0).sum()), int((dot < 0).sum())
    lengths = np.sqrt(own * other)
    known = (lengths > 0) & np.isfinite(lengths) & np.isfinite(dot)
    cosine = float(np.median(np.abs(dot[known] / lengths[known]))) if known.any() else 0.0
    return Coins(module, heads, heads + tails, cosine, two_sided(heads, heads + tails), 0.0, pairing)


def corrected(thrown: Sequence[Coins]) -> tuple[Coins, ...]:
    """p values corrected over all modules, families and the ``PAIRINGS`` of which the best is given."""
    families = [f for f in FAMILIES if any(c.module.family == f for c in thrown)]
    done: list[Coins] = []
    for family in families:
        own = [c for c in thrown if c.module.family == family]
        holm = holm_adjusted([c.log10_p + math.log10(PAIRINGS) for c in own])
        done += [
            replace(c, corrected=min(0.0, p + math.log10(len(families))))
            for c, p in zip(own, holm, strict=True)
        ]
    return tuple(done)


def two_sided(heads: int, n: int) -> float:
    """log10 of min(1, 2 P(X >= max(heads, n - heads))) for X ~ Binomial(n, 1/2), summed in whole numbers:
    the middle is taken from the whole where it has fewer terms, and a tail ends where what is left of it, at
    most n times its last term, is below 2^-64 of the sum."""
    most = max(heads, n - heads)
    if 2 * most - n <= n - most:
        half, term, middle = n - n // 2, _central(n), 0
        for k in range(half, most):
            middle += term if 2 * k == n else 2 * term
            term = term * (n - k) // (k + 1)
        return min(0.0, math.log10((1 << n) - middle) - n * math.log10(2))
    term = total = math.comb(n, most)
    for k in range(most, n):
        term = term * (n - k) // (k + 1)
        total += term
        if term * n << 64 < total:
            break
    return min(0.0, math.log10(total) + (1 - n) * math.log10(2))


@cache
def _central(n: int) -> int:
    """The largest binomial coefficient: modules of one model have units in a few numbers."""
    return math.comb(n, n // 2)


def holm_adjusted(log10_p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979), in log10: valid whatever the tests' dependence."""
    adjusted = [0.0] * len(log10_p)
    top = -math.inf
    for rank, place in enumerate(sorted(range(len(log10_p)), key=lambda n: log10_p[n])):
        top = max(top, log10_p[place] + math.log10(len(log10_p) - rank))
        adjusted[place] = min(0.0, top)
    return adjusted


def pooled(coins: Sequence[Coins]) -> tuple[int, int]:
    """Coins that agree (each module's own majority) and all coins: an effect size, never a test, since
    duplicated layers share their coins."""
    return sum(max(c.heads, c.n - c.heads) for c in coins), sum(c.n for c in coins)
