"""The reference's errors and who repeats them: the arrays of the default test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class View:
    """Units are the reference's errors (u of them). ``tried`` (models, u): the model is wrong there too;
    ``hit`` (models, u): with the very same wrong answer. Without a key every answered item is a unit, tried
    when answered, hit when the same."""

    names: tuple[str, ...]
    tried: NDArray[Any]
    hit: NDArray[Any]
    reference: int

    def counts(self, j: int) -> tuple[int, int]:
        """(s, m): units on which model ``j`` is wrong too, and those with the same wrong answer."""
        return int(self.tried[j].sum()), int(self.hit[j].sum())


def reference_view(sheet: Sheet, reference: int) -> View:
    """The view of ``sheet`` from one model taken as the reference."""
    wrong = sheet.valid(reference)
    if sheet.keyed:
        wrong = wrong & ~sheet.right(reference)
    units = np.flatnonzero(wrong)
    tried = np.zeros((len(sheet.columns), len(units)), bool)
    hit = np.zeros_like(tried)
    for j in range(len(sheet.columns)):
        miss = sheet.valid(j)
        if sheet.keyed:
            miss = miss & ~sheet.right(j)
        tried[j] = miss[units]
        hit[j] = sheet.same(reference, j)[units] & tried[j]
    return View(tuple(c.name for c in sheet.columns), tried, hit, reference)
