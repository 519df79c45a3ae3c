"""Matrices that are alike only by the rule from which they started.

Layers that begin as identities, kernels that begin as a single point or a bilinear window, decay rates that
begin as the same row of logarithms in every channel: trained a little, they are still alike in models that
have nothing to do with each other. What they share lies in a few elements far larger than the others, or in
the means of rows and columns. Copies agree in the rest as well.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

ELEMENTS = 1 << 17
"""Elements that are looked at, in whole rows."""
FAR, FEW = 3.0, 0.2
"""Median distances from the median beyond which an element stands out: of normal ones, 4 % do. Where more
than a fifth does, as of weights of two values, none does."""
CHANCE = 4.0
"""Standard errors."""
LEFT, NOTHING = 0.25, 0.1
"""Shares of the correlation: what is left in the rest has to be more than the first where it may be chance,
and more than the second wherever, or the pair is alike by its start alone."""


def alike_by_start(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two samples [rows, columns] that correlate do so only in elements that stand out and in means
    of rows and columns. Of what is zero on a side, as pruning makes it, nothing is asked."""
    every = -(-a.size // ELEMENTS)
    x, y = (v[::every].astype(np.float64) for v in (a, b))
    rest = (x != 0) & (y != 0)
    rest &= _usual(x, rest) & _usual(y, rest)
    n = int(np.count_nonzero(rest))
    if n < 2:
        return True
    whole = _correlation(x - x.mean(), y - y.mean())
    left = _correlation(_centred(x, rest), _centred(y, rest))
    return abs(left) <= max(NOTHING * abs(whole), min(CHANCE / math.sqrt(n), LEFT * abs(whole)))


def _usual(x: NDArray[np.float64], asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Elements that do not stand out of those ``asked``."""
    if not asked.any():
        return asked
    away = np.abs(x - np.median(x[asked]))
    far: NDArray[np.bool_] = asked & (away > FAR * np.median(away[asked]))
    return ~far if np.count_nonzero(far) <= FEW * np.count_nonzero(asked) else np.ones(x.shape, bool)


def _centred(x: NDArray[np.float64], rest: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The elements of ``rest`` without the means of their rows and columns, 0 elsewhere."""
    found = np.where(rest, x, 0.0)
    for axis in (1, 0, 1, 0):
        count = np.maximum(rest.sum(axis=axis, keepdims=True), 1)
        found = np.where(rest, found - found.sum(axis=axis, keepdims=True) / count, 0.0)
    return found


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    norm = math.sqrt(float(np.vdot(x, x)) * float(np.vdot(y, y)))
    return float(np.vdot(x, y)) / norm if norm > 0 else 0.0
