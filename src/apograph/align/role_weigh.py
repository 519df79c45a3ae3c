"""A choice between readings of one layer, from what every layer says: content decides where it can, else the
usual order, and then the choice is a doubtful one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from apograph.align.role_sheets import Reals

LEAST = 0.03
"""Difference of mean scores below which two readings are equally good."""
ERRORS = 3.0
_T = TypeVar("_T")


def better(a: Reals, b: Reals, least: float = LEAST) -> bool:
    """Whether scores ``a`` of layers [n] are above ``b`` by three standard errors and by ``least``."""
    apart = a - b
    n = len(apart)
    error = float(apart.std(ddof=1)) / math.sqrt(n) if n > 1 else least
    return bool(n) and float(apart.mean()) > max(least, ERRORS * error)


def choose(
    readings: Sequence[_T], scores: Sequence[Reals], usual: Sequence[int], least: float = LEAST
) -> tuple[int, list[int]]:
    """The number of the chosen reading, and those of all that are as good by content (itself among them).

    ``scores``: of each reading, what every layer says, [layers].
    ``usual``: the readings from the commonest order to the least common. The first of these that is not
    clearly worse than the best by content is chosen."""
    best = max(range(len(readings)), key=lambda i: float(np.mean(scores[i])) if len(scores[i]) else 0.0)
    chosen = next(i for i in (*usual, best) if not better(scores[best], scores[i], least))
    equal = [i for i in range(len(readings)) if not better(scores[chosen], scores[i], least)]
    return chosen, equal
