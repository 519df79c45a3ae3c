"""The spectrum of a difference: white noise, a product of low rank, or training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EDGE = 1.05
"""Largest singular value over sigma (sqrt m + sqrt n): noise measured 0.94 to 1.02, training at least 1.6."""
_LOW = 8
"""A low rank is at most the smaller side over this."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Of a difference [rows, columns]: ``edge`` is its largest singular value over that of white noise of the
    same mean square; ``rank`` is the number of directions beside which only rounding is left, None when there
    is no low rank."""

    edge: float
    rank: int | None


def spectrum(d: NDArray[Any], rounding: float) -> Spectrum:
    """Of a change ``d`` [rows, columns]. ``rounding`` is the mean square that the rounding of the storage
    types leaves in every element."""
    if d.shape[0] > d.shape[1]:
        d = d.T
    m, n = d.shape
    d = d.astype(np.float64)
    total = float(np.sum(d * d))
    if total == 0:
        return Spectrum(0.0, None)
    values = np.maximum(np.linalg.eigvalsh(d @ d.T)[::-1], 0.0)
    white = math.sqrt(m) + math.sqrt(n)
    edge = math.sqrt(values[0]) / (math.sqrt(total / (m * n)) * white)
    # What rounding alone leaves: its own edge, or the precision of the eigenvalues.
    floor = max(1.5 * rounding * white**2, 1e-9 * values[0])
    rank = int(np.count_nonzero(values > floor))
    left = float(values[rank:].sum())
    low = 0 < rank <= max(m // _LOW, 1) and m >= 16 and left <= 0.5 * total
    return Spectrum(edge, rank if low else None)
