"""The inner products of ``coin_products`` compiled by numba: three sums in one turn over two matrices.

Sums of a row and of a group of rows are taken in float32 in whatever order the compiler likes; they differ
from numpy's in the last digits, which decides a coin only where an inner product is as good as zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FREE = {"reassoc", "contract", "nsz"}


def _compiled(function: Any) -> Any:
    return njit(nogil=True, cache=True, fastmath=_FREE)(function)


@_compiled
def rows(a: NDArray[np.float32], b: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """``out`` [3, rows]: a·b, a·a and b·b of every row of two matrices."""
    for i in range(a.shape[0]):
        ab = aa = bb = np.float32(0)
        for j in range(a.shape[1]):
            x, y = a[i, j], b[i, j]
            ab += x * y
            aa += x * x
            bb += y * y
        out[0, i], out[1, i], out[2, i] = ab, aa, bb


@_compiled
def _group(a: NDArray[Any], b: NDArray[Any], ab: NDArray[Any], aa: NDArray[Any], bb: NDArray[Any]) -> None:
    for i in range(a.shape[0]):
        row_a, row_b = a[i], b[i]
        for j in range(a.shape[1]):
            ab[j] += row_a[j] * row_b[j]
        for j in range(a.shape[1]):
            aa[j] += row_a[j] * row_a[j]
        for j in range(a.shape[1]):
            bb[j] += row_b[j] * row_b[j]


def columns(a: NDArray[Any], b: NDArray[Any], out: NDArray[np.float64]) -> None:
    """Add to ``out`` [3, columns] the same of every column of one group of rows."""
    ab, aa, bb = (np.zeros(a.shape[1], a.dtype) for _ in range(3))
    _group(a, b, ab, aa, bb)
    out += np.stack([ab, aa, bb])
