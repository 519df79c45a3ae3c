"""How well two matrices agree in an axis that they may share, and who answers whom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from apograph.align.role_sheets import Reals

HINT = 0.02
"""Weight of the place in the checkpoint: it decides only where content says nothing."""
_A = TypeVar("_A")
_B = TypeVar("_B")


def agreement(a: Reals, b: Reals) -> float:
    """Of the features of units, both [n, features]: root of the shared variance beyond chance (0 for
    independent units up to three standard deviations)."""
    n, k = len(a), a.shape[1] * b.shape[1]
    if n != len(b) or n < 8:
        return 0.0
    shared = float(np.sum((a.T @ b / n) ** 2))
    return math.sqrt(max(0.0, shared - (k + 3 * math.sqrt(2 * k)) / n))


def alike(a: Reals, b: Reals) -> float:
    """Correlation of two Gram matrices [n, n] without their traces, 0 within chance."""
    n = len(a)
    if a.shape != b.shape or n < 2:
        return 0.0
    eye = np.eye(n)
    a, b = a - eye * np.trace(a) / n, b - eye * np.trace(b) / n
    norm = math.sqrt(float(np.sum(a * a)) * float(np.sum(b * b)))
    value = float(np.sum(a * b)) / norm if norm else 0.0
    return math.copysign(max(0.0, abs(value) - 3 / math.sqrt(n * n / 2)), value)


def correlation(a: Reals, b: Reals) -> float:
    """Pearson's of two vectors [n]; 0 within three standard errors, for constant ones, for unequal lengths
    and for fewer than eight places."""
    if len(a) != len(b) or len(a) < 8 or not a.std() or not b.std():
        return 0.0
    value = float(np.corrcoef(a, b)[0, 1])
    return math.copysign(max(0.0, abs(value) - 3 / math.sqrt(len(a))), value)


def closeness(i: int, n: int, j: int, m: int) -> float:
    """1 for the same place among ``n`` as among ``m``, at most a half for any other, down to 0."""
    apart = abs((i + 0.5) / n - (j + 0.5) / m)
    return 1 - apart if apart < 0.5 / min(n, m) else (1 - apart) / 2


def pairing(
    left: Sequence[_A],
    right: Sequence[_B],
    score: Callable[[_A, _B], float],
    each: int = 1,
    hint: float = HINT,
) -> list[tuple[_A, _B, bool]]:
    """Each of ``right`` gets ``each`` of ``left``, the sum of scores being greatest; the place decides where
    content does not, or counts as much as ``hint`` where that is known to be worth more. The flag says that
    content alone decides: the pair agrees, and more than the same one of ``left`` does with any other."""
    if not left or not right:
        return []
    from scipy.optimize import linear_sum_assignment

    table = np.array([[score(a, b) for b in right] for a in left])
    n, m = len(left), len(right)
    hints = np.array([[hint * closeness(i, n, j, m) for j in range(m)] for i in range(n)])
    wide = np.repeat(table + hints, each, axis=1)
    rows, columns = linear_sum_assignment(-wide)
    found = []
    for i, column in zip(rows.tolist(), columns.tolist(), strict=True):
        j = column // each
        others = np.delete(table[i], j)
        clear = table[i, j] > 0 and (not others.size or table[i, j] > others.max() + 2 * HINT)
        found.append((left[i], right[j], bool(clear)))
    return found
