"""The sums of ``moments`` compiled by numba: about a nanosecond for a pair of elements.

No fast-math: the order of every addition is the one that ``moments`` states. Four rows of lanes are taken per
turn, so that the compiler keeps the lanes' sums in registers; this does not change the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apograph.evidence.moments import DEPTH, LANES, SUB, Rows, Stored


def fill(a: Stored, b: Stored, out: Rows) -> None:
    """Fill ``out`` [sub-blocks, COLUMNS] from the bits of two flat arrays."""
    _fill(a, b, 32 - 8 * a.itemsize, 32 - 8 * b.itemsize, out)


def _compiled(function: Any) -> Any:
    return njit(nogil=True, cache=True, error_model="numpy")(function)


@_compiled
def _fill(a: Stored, b: Stored, shift_a: int, shift_b: int, out: Rows) -> None:
    x, y = np.zeros(SUB, np.uint32), np.zeros(SUB, np.uint32)
    sums = np.empty((9, LANES), np.float32)
    largest = np.empty(LANES, np.float32)
    counts = np.empty((5, LANES), np.uint32)
    for k in range(len(out)):
        n = min(SUB, len(a) - k * SUB)
        _load(a[k * SUB : k * SUB + n], shift_a, x)
        _load(b[k * SUB : k * SUB + n], shift_b, y)
        sums[:] = 0
        largest[:] = 0
        counts[:] = 0
        _lanes(x.view(np.float32), y.view(np.float32), sums, largest)
        _counts(x, y, counts)
        _close(x, y, sums, largest, counts, SUB - n, out[k])


@_compiled
def _load(stored: Stored, shift: int, out: NDArray[np.uint32]) -> None:
    by = np.uint32(shift)
    for i in range(len(stored)):
        out[i] = np.uint32(stored[i]) << by
    out[len(stored) :] = 0


@_compiled
def _lanes(
    a: NDArray[np.float32], b: NDArray[np.float32], sums: NDArray[np.float32], largest: NDArray[np.float32]
) -> None:
    for first in range(0, DEPTH * LANES, 4 * LANES):
        for j in range(LANES):
            s0, s1, s2, s3, s4 = sums[0, j], sums[1, j], sums[2, j], sums[3, j], sums[4, j]
            s5, s6, s7, s8 = sums[5, j], sums[6, j], sums[7, j], sums[8, j]
            m = largest[j]
            for k in range(4):
                x, y = a[first + k * LANES + j], b[first + k * LANES + j]
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
def _counts(a: NDArray[np.uint32], b: NDArray[np.uint32], counts: NDArray[np.uint32]) -> None:
    for first in range(0, DEPTH * LANES, 4 * LANES):
        for j in range(LANES):
            equal, zero_a, zero_b = counts[0, j], counts[1, j], counts[2, j]
            bits_a, bits_b = counts[3, j], counts[4, j]
            for k in range(4):
                x, y = a[first + k * LANES + j], b[first + k * LANES + j]
                # numba widens uint32 arithmetic to 64 bits unless it is cast back.
                equal = np.uint32(equal + np.uint32(x == y))
                zero_a = np.uint32(zero_a + np.uint32(np.uint32(x << np.uint32(1)) == np.uint32(0)))
                zero_b = np.uint32(zero_b + np.uint32(np.uint32(y << np.uint32(1)) == np.uint32(0)))
                bits_a = np.uint32(bits_a | x)
                bits_b = np.uint32(bits_b | y)
            counts[0, j], counts[1, j], counts[2, j] = equal, zero_a, zero_b
            counts[3, j], counts[4, j] = bits_a, bits_b


@_compiled
def _close(
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    sums: NDArray[np.float32],
    largest: NDArray[np.float32],
    counts: NDArray[np.uint32],
    pad: int,
    row: Rows,
) -> None:
    for column in range(9):
        total = 0.0
        for j in range(LANES):
            total += np.float64(sums[column, j])
        row[column] = total
    row[9] = np.sqrt(np.float64(largest.max()))
    union_a, union_b, both = np.int64(0), np.int64(0), 0
    for j in range(LANES):
        row[10] += counts[0, j]
        row[11] += counts[1, j]
        row[12] += counts[2, j]
        union_a |= np.int64(counts[3, j])
        union_b |= np.int64(counts[4, j])
    if row[11] > pad and row[12] > pad:
        for i in range(len(a)):
            both += np.uint32(np.uint32(a[i] | b[i]) << np.uint32(1)) == np.uint32(0)
        row[13] = both - pad
    row[10] -= pad
    row[11] -= pad
    row[12] -= pad
    row[14] = _mantissa_bits(union_a)
    row[15] = _mantissa_bits(union_b)


@_compiled
def _mantissa_bits(union: np.int64) -> int:
    for low in range(23):
        if union >> low & 1:
            return 23 - low
    return 0
