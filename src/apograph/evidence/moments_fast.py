"""The sums of ``moments`` compiled by numba: about two thirds of a nanosecond for a pair of elements.

No fast-math: the order of every addition is the one that ``moments`` states. Elements are widened in
registers. Four rows of lanes are taken per turn, so that the compiler keeps the lanes' sums in registers too;
this does not change the order. Counts are taken in the width of storage; whole numbers have no order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apograph.evidence.moments import DEPTH, LANES, SMALL_RESIDUAL, SMALL_SQUARES, SUB, Rows, Stored
from apograph.evidence.numba_bits import value


def fill(a: Stored, b: Stored, out: Rows) -> bool:
    """Fill ``out`` [sub-blocks, COLUMNS] from the bits of two flat arrays of one type, uint16 or uint32.
    False when float32 certainly held every sub-block."""
    return bool(_fill(a, b, 32 - 8 * a.itemsize, out))


def _compiled(function: Any) -> Any:
    return njit(nogil=True, cache=True, error_model="numpy")(function)


@_compiled
def _fill(a: Stored, b: Stored, shift: int, out: Rows) -> bool:
    doubtful = False
    sums = np.empty((9, LANES), np.float32)
    largest = np.empty(LANES, np.float32)
    halves = np.empty(LANES // 2)
    for k in range(len(out)):
        x, y = a[k * SUB : k * SUB + SUB], b[k * SUB : k * SUB + SUB]
        pad = SUB - len(x)
        if pad:
            x, y = _padded(x), _padded(y)
        sums[:] = 0
        largest[:] = 0
        _lanes(x, y, sums, largest)
        _close(sums, largest, halves, out[k])
        _counts(x, y, pad, shift, out[k])
        doubtful |= not _in_range(out[k])
    return doubtful


@_compiled
def _padded(stored: Stored) -> Stored:
    whole = np.zeros(SUB, stored.dtype)
    whole[: len(stored)] = stored
    return whole


@_compiled
def _lanes(a: Stored, b: Stored, sums: NDArray[np.float32], largest: NDArray[np.float32]) -> None:
    for first in range(0, DEPTH * LANES, 4 * LANES):
        for j in range(LANES):
            s0, s1, s2, s3, s4 = sums[0, j], sums[1, j], sums[2, j], sums[3, j], sums[4, j]
            s5, s6, s7, s8 = sums[5, j], sums[6, j], sums[7, j], sums[8, j]
            m = largest[j]
            for k in range(4):
                x, y = value(a[first + k * LANES + j]), value(b[first + k * LANES + j])
                d = y - x
                dd = d * d
                s0 += x
                s1 += y
                s2 += d
                s3 += x * x
                s4 += y * y
                s5 += x * d
                s6 += dd
                s7 += dd * d
                s8 += dd * dd
                m = dd if dd > m else m
            sums[0, j], sums[1, j], sums[2, j], sums[3, j], sums[4, j] = s0, s1, s2, s3, s4
            sums[5, j], sums[6, j], sums[7, j], sums[8, j] = s5, s6, s7, s8
            largest[j] = m


@_compiled
def _close(sums: NDArray[np.float32], largest: NDArray[np.float32], halves: Rows, row: Rows) -> None:
    for column in range(9):
        lanes = sums[column]
        for j in range(LANES // 2):
            halves[j] = np.float64(lanes[j]) + np.float64(lanes[j + LANES // 2])
        width = LANES // 4
        while width:
            for j in range(width):
                halves[j] += halves[j + width]
            width //= 2
        row[column] = halves[0]
    row[9] = np.sqrt(np.float64(largest.max()))


@_compiled
def _in_range(row: Rows) -> bool:
    in_range: bool = (
        np.isfinite(row[:10].sum())
        and (row[9] == 0 or row[9] >= SMALL_RESIDUAL)
        and min(row[3], row[4]) >= SMALL_SQUARES
    )
    return in_range


@_compiled
def _counts(a: Stored, b: Stored, pad: int, shift: int, row: Rows) -> None:
    kind = a.dtype.type  # numba widens arithmetic of uint16 and uint32 to 64 bits unless it is cast back
    one, none = kind(1), kind(0)
    equal = zero_a = zero_b = both = union_a = union_b = none
    for i in range(SUB):
        x, y = a[i], b[i]
        equal = kind(equal + kind(x == y))
        zero_a = kind(zero_a + kind(kind(x << one) == none))
        zero_b = kind(zero_b + kind(kind(y << one) == none))
        both = kind(both + kind(kind(kind(x | y) << one) == none))
        union_a, union_b = kind(union_a | x), kind(union_b | y)
    row[10], row[11], row[12], row[13] = equal, zero_a, zero_b, both
    row[10:14] -= pad
    row[14] = _mantissa_bits(np.int64(union_a) << shift)
    row[15] = _mantissa_bits(np.int64(union_b) << shift)


@_compiled
def _mantissa_bits(union: np.int64) -> int:
    for low in range(23):
        if union >> low & 1:
            return 23 - low
    return 0
