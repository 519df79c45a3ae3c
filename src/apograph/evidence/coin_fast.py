"""The inner products of ``coin_products`` compiled by numba: three sums in one turn over two sides.

No fast-math: lines are added in order, so that numpy gives the same bits (``coin_plain``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apograph.evidence.coin_plain import GROUP, LANES, Products
from apograph.evidence.moments import Stored
from apograph.evidence.numba_bits import value

_Sums = NDArray[np.float32]


def _compiled(function: Any) -> Any:
    return njit(nogil=True, cache=True, error_model="numpy")(function)


@_compiled
def rows(a: Stored, b: Stored, start: int, width: int, out: Products) -> None:
    """See ``coin_plain.rows``."""
    sums, halves = np.empty((3, LANES), np.float32), np.empty(LANES // 2)
    at = 0
    for i in range(out.shape[1]):
        end = min(at + width - (start + at) % width, len(a))
        sums[:] = 0
        _lines(a[at:end], b[at:end], LANES, sums)
        for n in range(3):
            lanes = sums[n]
            for j in range(LANES // 2):
                halves[j] = np.float64(lanes[j]) + np.float64(lanes[j + LANES // 2])
            step = LANES // 4
            while step:
                for j in range(step):
                    halves[j] += halves[j + step]
                step //= 2
            out[n, i] = halves[0]
        at = end


@_compiled
def columns(a: Stored, b: Stored, start: int, width: int, out: Products) -> None:
    """See ``coin_plain.columns``."""
    sums = np.zeros((3, width), np.float32)
    head = min(-start % width, len(a))
    first = start % width
    if head:
        _line(a[:head], b[:head], sums[0, first:], sums[1, first:], sums[2, first:])
        _flush(sums, out)
    for at in range(head, len(a), GROUP * width):
        end = min(at + GROUP * width, len(a))
        _lines(a[at:end], b[at:end], width, sums)
        _flush(sums, out)


@_compiled
def _flush(sums: _Sums, out: Products) -> None:
    for n in range(3):
        own, to = sums[n], out[n]
        for j in range(len(own)):
            to[j] += np.float64(own[j])
            own[j] = 0


@_compiled
def _lines(a: Stored, b: Stored, width: int, sums: _Sums) -> None:
    ab, aa, bb = sums[0], sums[1], sums[2]
    four = len(a) // (4 * width) * 4
    for k in range(0, four, 4):
        at, end = k * width, (k + 4) * width
        _four(a[at:end], b[at:end], width, ab, aa, bb)
    for at in range(four * width, len(a), width):
        _line(a[at : at + width], b[at : at + width], ab, aa, bb)


@_compiled
def _line(a: Stored, b: Stored, ab: _Sums, aa: _Sums, bb: _Sums) -> None:
    for j in range(len(a)):
        x, y = value(a[j]), value(b[j])
        ab[j] += x * y
        aa[j] += x * x
        bb[j] += y * y


@_compiled
def _four(a: Stored, b: Stored, width: int, ab: _Sums, aa: _Sums, bb: _Sums) -> None:
    """Four lines, with the sums in registers."""
    a0, a1, a2, a3 = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
    b0, b1, b2, b3 = b[:width], b[width : 2 * width], b[2 * width : 3 * width], b[3 * width :]
    for j in range(width):
        x0, x1, x2, x3 = value(a0[j]), value(a1[j]), value(a2[j]), value(a3[j])
        y0, y1, y2, y3 = value(b0[j]), value(b1[j]), value(b2[j]), value(b3[j])
        ab[j] = (((ab[j] + x0 * y0) + x1 * y1) + x2 * y2) + x3 * y3
        aa[j] = (((aa[j] + x0 * x0) + x1 * x1) + x2 * x2) + x3 * x3
        bb[j] = (((bb[j] + y0 * y0) + y1 * y1) + y2 * y2) + y3 * y3
