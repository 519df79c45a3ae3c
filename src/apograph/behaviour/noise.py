"""The candidate is the reference plus noise: the noise control, the star of distances, low margins."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENOUGH_SEEDS = 99


@dataclass(frozen=True, slots=True)
class NoiseTest:
    """``sigma`` = σ*, the noise whose copies agree with the reference as the candidate does on the tuning
    half of the items; then, on the held-out half, the share of the reference's errors that are repeated: the
    ``candidate``'s and the range of the noised copies', with the two-sided rank ``p`` over ``seeds`` copies.
    ``enough``: at least 99 seeds. A large p means consistent with noise, nothing more."""

    sigma: float | None
    seeds: int
    candidate: float
    low: float
    high: float
    p: float
    enough: bool


@dataclass(frozen=True, slots=True)
class Star:
    """Mean distances (share of different answers): candidate to reference, noised copies to the reference,
    candidate to noised copies, and noised copies to each other (None for a single copy)."""

    candidate: float
    noised: float
    across: float
    between: float | None


def distance(sheet: Sheet, i: int, j: int, items: NDArray[Any] | None = None) -> float:
    """Share of different answers among the items that both answered (1.0 for none)."""
    both = (sheet.columns[i].codes >= 0) & (sheet.columns[j].codes >= 0)
    if items is not None:
        both = both & items
    return 1.0 - float(sheet.same(i, j)[both].mean()) if both.any() else 1.0


def star(sheet: Sheet, reference: int, candidate: int, noised: Sequence[int]) -> Star:
    """The geometry that a candidate made from the reference shows: copies of a centre lie nearer to the
    centre than to each other. d(S, R+n) ≈ d(R+n1, R+n2) > d(S, R)."""
    pairs = [(i, j) for n, i in enumerate(noised) for j in noised[n + 1 :]][:500]
    return Star(
        distance(sheet, candidate, reference),
        float(np.mean([distance(sheet, reference, j) for j in noised])),
        float(np.mean([distance(sheet, candidate, j) for j in noised])),
        float(np.mean([distance(sheet, i, j) for i, j in pairs])) if pairs else None,
    )


def halves(sheet: Sheet) -> NDArray[Any]:
    """(n,) True for the tuning half: decided by the hash of each item's identity, so it cannot be chosen."""
    return np.array([hashlib.sha256(item.encode()).digest()[0] < 128 for item in sheet.items])


def noise_test(sheet: Sheet, reference: int, candidate: int, noised: Sequence[int]) -> NoiseTest:
    """Choose σ* on one half of the items, test the candidate on the other (see NoiseTest)."""
    tuning = halves(sheet)
    target = distance(sheet, reference, candidate, tuning)
    groups: dict[float | None, list[int]] = defaultdict(list)
    for j in noised:
        groups[sheet.columns[j].sigma].append(j)
    means = {
        sigma: float(np.mean([distance(sheet, reference, j, tuning) for j in group]))
        for sigma, group in groups.items()
    }
    sigma = min(means, key=lambda s: (abs(means[s] - target), s or 0.0))
    held = [_repeated(sheet, reference, j, ~tuning) for j in groups[sigma]]
    own = _repeated(sheet, reference, candidate, ~tuning)
    centre = float(np.median([*held, own]))
    beyond = sum(abs(value - centre) >= abs(own - centre) for value in held)
    return NoiseTest(
        sigma, len(held), own, min(held), max(held), (1 + beyond) / (len(held) + 1), len(held) >= ENOUGH_SEEDS
    )


def _repeated(sheet: Sheet, reference: int, j: int, items: NDArray[Any]) -> float:
    """Share of the reference's errors (of its answers, without a key) that model ``j`` repeats."""
    units = items & sheet.valid(reference) & sheet.valid(j)
    if sheet.keyed:
        units = units & ~sheet.right(reference)
    return float(sheet.same(reference, j)[units].mean()) if units.any() else 0.0


def low_margin_flips(sheet: Sheet, reference: int, j: int) -> tuple[int, float, float] | None:
    """Do the items on which model ``j`` departs from the reference have low margins there?

    (flips, share of flip/stay pairs with the flip at the lower margin, log10 of the one-sided Mann-Whitney
    p);
    None without margins or with fewer than five items on either side.
    """
    margins = sheet.columns[reference].margins
    if margins is None:
        return None
    from scipy.stats import mannwhitneyu

    both = (sheet.columns[reference].codes >= 0) & (sheet.columns[j].codes >= 0) & np.isfinite(margins)
    same = sheet.same(reference, j)
    flips, stays = margins[both & ~same], margins[both & same]
    if min(len(flips), len(stays)) < 5:
        return None
    found = mannwhitneyu(flips, stays, alternative="less")
    share = 1.0 - float(found.statistic) / (len(flips) * len(stays))
    return len(flips), share, float(np.log10(max(float(found.pvalue), 1e-300)))
