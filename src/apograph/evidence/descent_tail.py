"""The tail slope: whether a change goes on from another one, or only began like it.

Two models trained from one base on like data change in like ways, but mostly in the few directions that the
data ask for. The many small directions of a change are a run's own. A child keeps all of its parent's change,
the small directions as well; a sibling has others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOW = 0.9
"""The least slope that a child has."""
EXACT = 1e-10
"""Eigenvalues of the change's Gram matrix below this share of the largest are lost in float64."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Slope of one change on another over the smaller half of the other's directions, with its standard
    error; ``whole`` is the slope over all directions (beta), ``rank`` how many there are beyond rounding."""

    slope: float
    error: float
    whole: float
    rank: int


class Change:
    """The change from a base, D = U S V' [rows, columns], decomposed once and compared with many others."""

    def __init__(self, change: NDArray[Any], rounding: float = 0.0) -> None:
        """``rounding`` is the mean square of the rounding of both storage types in every element."""
        self._turned = change.shape[0] > change.shape[1]
        self._d = change.T if self._turned else change
        m, n = self._d.shape
        values, vectors = np.linalg.eigh(self._d @ self._d.T)
        floor = max(1.5 * rounding * (math.sqrt(m) + math.sqrt(n)) ** 2, EXACT * max(values[-1], 0.0))
        beyond = values > floor
        self._values, self._vectors = values[beyond][::-1], vectors[:, beyond][:, ::-1]
        self._square = float(np.sum(self._d * self._d))

    @property
    def rank(self) -> int:
        """Directions beyond rounding."""
        return len(self._values)

    def tail(self, other: NDArray[Any]) -> Tail | None:
        """Slope of ``other``, a change of the same shape, over the directions j > rank / 2:
        sum s_j u_j' other v_j / sum s_j^2. None where fewer than two directions are left.

        With s_j v_j = D' u_j no right vector is needed.
        """
        first = (self.rank + 1) // 2
        if self.rank - first < 2:
            return None
        cross = (other.T if self._turned else other) @ self._d.T
        u, squares = self._vectors[:, first:], self._values[first:]
        parts = np.einsum("ij,ij->j", u, cross @ u)  # s_j u_j' other v_j
        slope = float(parts.sum() / squares.sum())
        off = parts - slope * squares
        error = math.sqrt(float(off @ off)) / float(squares.sum())
        return Tail(slope, error, float(np.trace(cross)) / self._square, self.rank)
