"""Two models side by side: counts, effect sizes with bootstrap intervals, overlap of errors, direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Sheet
from apograph.weigh.tails import hypergeometric_tail, sign_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20240602
DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Items by outcome: ``right`` both right, ``first`` ``second`` only that one wrong, ``identical`` both
    wrong with the same answer, ``different`` both wrong with different ones. ``guess``: mean of
    1/(options - 1), the chance of the same wrong choice when both are wrong (0 for open answers)."""

    right: int
    first: int
    second: int
    identical: int
    different: int
    guess: float = 0.0

    @property
    def n(self) -> int:
        """Items that both answered."""
        return self.right + self.first + self.second + self.identical + self.different

    @property
    def both(self) -> int:
        """Items that both get wrong (s)."""
        return self.identical + self.different

    @property
    def a(self) -> int:
        """Errors of the first model."""
        return self.first + self.both

    @property
    def b(self) -> int:
        """Errors of the second model."""
        return self.second + self.both

    @property
    def expected(self) -> float:
        """Shared errors expected of independent errors, a·b/n."""
        return self.a * self.b / self.n if self.n else 0.0

    @property
    def odds_ratio(self) -> float:
        """Odds ratio of the two by two table of errors; infinite when a cell of disagreement is empty."""
        disagree = self.first * self.second
        return self.right * self.both / disagree if disagree else math.inf


def count_pair(sheet: Sheet, i: int, j: int) -> Counts:
    """The counts of models ``i`` and ``j`` over the items that both answered. Without a key ``identical`` and
    ``different`` split all answers and the others are 0."""
    valid = sheet.valid(i) & sheet.valid(j)
    same = sheet.same(i, j)
    options = sheet.options[valid]
    guess = (
        float(np.where(options > 1, 1.0 / np.maximum(options - 1.0, 1.0), 0.0).mean())
        if len(options)
        else 0.0
    )
    if not sheet.keyed:
        return Counts(0, 0, 0, int((same & valid).sum()), int((~same & valid).sum()), guess)
    one, two = sheet.right(i), sheet.right(j)
    wrong = valid & ~one & ~two
    return Counts(
        int((valid & one & two).sum()),
        int((valid & ~one & two).sum()),
        int((valid & one & ~two).sum()),
        int((wrong & same).sum()),
        int((wrong & ~same).sum()),
        guess,
    )


def agreement(cells: NDArray[Any]) -> NDArray[Any]:
    """Share of identical answers, right or wrong. ``cells`` (…, 5) in the order of Counts."""
    share: NDArray[Any] = (cells[..., 0] + cells[..., 3]) / cells.sum(axis=-1)
    return share


def kappa(cells: NDArray[Any]) -> NDArray[Any]:
    """Error consistency (Geirhos, Meding & Wichmann 2020, arXiv 2006.16736): Cohen's κ of right and wrong."""
    n = cells.sum(axis=-1)
    a = (cells[..., 1] + cells[..., 3] + cells[..., 4]) / n
    b = (cells[..., 2] + cells[..., 3] + cells[..., 4]) / n
    chance = a * b + (1 - a) * (1 - b)
    found: NDArray[Any] = ((n - cells[..., 1] - cells[..., 2]) / n - chance) / (1 - chance)
    return found


def capa(cells: NDArray[Any], guess: float) -> NDArray[Any]:
    """κ_p (Goel et al. 2025, arXiv 2502.04313) for single answers: agreement beyond what two models of these
    accuracies show by chance, wrong answers drawn evenly from the options left."""
    n = cells.sum(axis=-1)
    a = (cells[..., 1] + cells[..., 3] + cells[..., 4]) / n
    b = (cells[..., 2] + cells[..., 3] + cells[..., 4]) / n
    chance = (1 - a) * (1 - b) + a * b * guess
    found: NDArray[Any] = (agreement(cells) - chance) / (1 - chance)
    return found


def contained(cells: NDArray[Any], whose: int) -> NDArray[Any]:
    """Share of the errors of model ``whose`` (1 or 2) that the other model makes too."""
    both = cells[..., 3] + cells[..., 4]
    share: NDArray[Any] = both / (cells[..., whose] + both)
    return share


Effect = tuple[float, float, float]


def effects(counts: Counts) -> dict[str, Effect]:
    """Effect sizes as (value, low, high) with 95 % percentile intervals of a bootstrap over items.

    Resampling items is drawing the five counts from a multinomial, so a million items cost no more than ten.
    """
    names: Sequence[tuple[str, Callable[[NDArray[Any]], NDArray[Any]]]] = (
        ("agreement", agreement),
        ("kappa", kappa),
        ("capa", lambda cells: capa(cells, counts.guess)),
        ("contained_first", lambda cells: contained(cells, 1)),
        ("contained_second", lambda cells: contained(cells, 2)),
    )
    if not counts.n:
        return {}
    cells = np.array(
        [counts.right, counts.first, counts.second, counts.identical, counts.different], dtype=float
    )
    drawn = np.random.default_rng(SEED).multinomial(counts.n, cells / counts.n, DRAWS)
    found: dict[str, Effect] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, measure in names:
            value = float(measure(cells))
            spread = measure(drawn)
            spread = spread[np.isfinite(spread)]
            if math.isfinite(value) and len(spread):
                low, high = np.quantile(spread, (0.025, 0.975))
                found[name] = (value, float(low), float(high))
    return found


def independence(counts: Counts) -> float:
    """log10 p of the shared errors if the two erred independently: the hypergeometric tail. Descriptive only:
    unrelated models share errors because some items are hard for all."""
    return hypergeometric_tail(counts.n, counts.a, counts.b, counts.both)


def log_odds(counts: Counts, z: float = 0.0) -> float:
    """log of the odds ratio, half an item added to every cell, plus ``z`` standard errors (Woolf 1955)."""
    cells = (counts.right + 0.5, counts.both + 0.5, counts.first + 0.5, counts.second + 0.5)
    return math.log(cells[0] * cells[1] / (cells[2] * cells[3])) + z * math.sqrt(sum(1 / c for c in cells))


def beyond_panel(counts: Counts, panel: Sequence[Counts]) -> tuple[float, float] | None:
    """(θ0, log10 p): the shared errors against an association as strong as the largest upper 99 % limit of
    the panel's odds ratios with the reference; Fisher's noncentral hypergeometric. None without a panel."""
    if not panel:
        return None
    strongest = max(log_odds(one, 2.326) for one in panel)
    return math.exp(strongest), hypergeometric_tail(counts.n, counts.a, counts.b, counts.both, strongest)


def drift(counts: Counts) -> float:
    """log10 of the two-sided sign test on the discordant errors: as many of the one as of the other?"""
    return sign_test(counts.first, counts.first + counts.second)
