"""Noise over many tensors: one sigma for all, and the same noise in tensors of equal shape."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from apograph.evidence.moments import Moments
from apograph.evidence.transformation import Transformation
from apograph.findings import Side

WITHIN = 0.01
EQUAL = 0.5
"""Correlation of two tensors' noise above which it is the same noise (chance: 1/sqrt n, about 0.01)."""
CHANCE = 0.03
"""Standard errors of a slope below which it is 1 by construction: by chance it is in 2.4 % of matrices."""
_GROUP = 32


@dataclass(frozen=True, slots=True)
class NoiseLaw:
    """``sigma`` over all noisy tensors with its 95 % interval. ``within`` of ``tensors`` have that sigma
    within 1 % beyond three standard errors, sqrt(1 / 2n). Of ``pairs`` of equal shape, ``equal`` have the
    same noise; ``likeness`` is the median correlation. ``source`` is the side without the noise."""

    sigma: float
    interval: tuple[float, float]
    tensors: int
    within: int
    n: int
    pairs: int
    equal: int
    likeness: float | None
    source: Side | None

    @property
    def uniform(self) -> bool:
        """Whether one sigma fits: training and quantisation change tensors by different amounts."""
        return self.tensors > 1 and self.within >= 0.95 * self.tensors


def noise_law(told: Sequence[Transformation]) -> NoiseLaw | None:
    """Over the tensors of class "noise"; None when there is none."""
    noisy = [t for t in told if t.kind == "noise" and t.sigma > 0]
    if not noisy:
        return None
    n = np.array([t.n for t in noisy], np.float64)
    logs = np.log([t.sigma for t in noisy])
    centre = float(np.sum(n * logs) / n.sum())
    error = 1.96 / math.sqrt(2 * float(n.sum()))
    within = np.abs(logs - centre) <= WITHIN + 3 / np.sqrt(2 * n)
    likeness = _likeness(noisy)
    return NoiseLaw(
        sigma=math.exp(centre),
        interval=(math.exp(centre - error), math.exp(centre + error)),
        tensors=len(noisy),
        within=int(np.count_nonzero(within)),
        n=int(n.sum()),
        pairs=len(likeness),
        equal=sum(r > EQUAL for r in likeness),
        likeness=float(np.median(likeness)) if likeness else None,
        source=_source([t.moments for t in noisy if not t.turned]),
    )


def _source(moments: Sequence[Moments]) -> Side | None:
    """The clean side, unless its values are coarser than the other's: then both may come from a third; or
    what differs was taken away, not added."""
    side = clean_side(moments)
    if side is None or projected(moments, side):
        return None
    bits = [max((m.bits_a for m in moments), default=0), max((m.bits_b for m in moments), default=0)]
    own, other = bits if side == "reference" else bits[::-1]
    return side if own >= other else None


def projected(moments: Sequence[Moments], side: Side) -> bool:
    """Whether in half of the matrices the difference is orthogonal to ``side`` by construction: what a
    projection took away, as to a low rank, is orthogonal to what it left, as noise is to its source, but
    exactly."""
    found = 0
    for m in moments:
        slope, squares = (m.slope, m.sum_aa) if side == "reference" else (m.slope_back, m.sum_bb)
        chance = math.sqrt(m.sum_dd / (max(m.used, 1) * squares)) if squares else 0.0
        found += abs((slope or 0.0) - 1) < CHANCE * chance
    return found * 2 >= max(len(moments), 1)


def clean_side(moments: Sequence[Moments]) -> Side | None:
    """The side with which the differences are uncorrelated, where they clearly are correlated with the other:
    noise does not know its source, and is a part of what it was added to. Two noisy copies of one original
    have neither."""
    clear, part = 4.0, 6.0
    z = []
    for own, squares in (
        (sum(m.sum_ad for m in moments), [m.sum_aa for m in moments]),
        (sum(m.sum_ad + m.sum_dd for m in moments), [m.sum_bb for m in moments]),
    ):
        spread = sum(m.sum_dd / max(m.used, 1) * s for m, s in zip(moments, squares, strict=True))
        z.append(abs(own) / math.sqrt(spread) if spread > 0 else 0.0)
    if z[0] <= clear and z[1] >= part:
        return "reference"
    return "candidate" if z[1] <= clear and z[0] >= part else None


def _likeness(noisy: Sequence[Transformation]) -> list[float]:
    """Correlations between the first differences of tensors with equally many elements."""
    groups: dict[int, list[Transformation]] = defaultdict(list)
    for t in noisy:
        if t.head is not None and len(t.head) >= 256:
            groups[t.moments.n].append(t)
    found = []
    for group in groups.values():
        for a, b in combinations(group[:_GROUP], 2):
            assert a.head is not None
            assert b.head is not None
            found.append(float(np.corrcoef(a.head, b.head)[0, 1]))
    return found
