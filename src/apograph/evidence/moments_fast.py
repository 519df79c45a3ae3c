"""The sums of ``moments`` compiled by numba: about half a nanosecond for a pair of elements.

No fast-math: the order of every addition is the one that ``moments`` states. Elements are widened in
registers, which hold the sums of ``WIDE`` lanes for 16 rows; this does not change the order. Counts are taken
in the width of storage; whole numbers have no order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.moments import LANES, SMALL_RESIDUAL, SMALL_SQUARES, SUB, Rows, Stored
from apograph.evidence.numba_bits import WIDE, compiled, folded, larger, line, put, same, values, wide, zero

RUN = 16
"""Rows of lanes that are summed in registers: as much as the first cache holds."""


def fill(a: Stored, b: Stored, out: Rows) -> bool:
    """Fill ``out`` [sub-blocks, COLUMNS] from the bits of two flat arrays of one type, uint16 or uint32.
    False when float32 certainly held every sub-block."""
    return bool(fill_rows(a, b, 32 - 8 * a.itemsize, out))


@compiled
def fill_rows(a: Stored, b: Stored, shift: int, out: Rows) -> bool:
    """``fill`` for compiled callers; ``shift`` is 32 less the bits of an element."""
    doubtful = False
    sums = np.empty((10, LANES), np.float32)
    counts = np.empty(6 * WIDE, a.dtype)
    halves = np.empty(LANES // 2)
    for k in range(len(out)):
        x, y = a[k * SUB : k * SUB + SUB], b[k * SUB : k * SUB + SUB]
        pad = SUB - len(x)
        if pad:
            x, y = _padded(x), _padded(y)
        sums[:] = 0
        _lanes(x, y, sums)
        _close(sums, halves, out[k])
        _counts(x, y, pad, shift, counts, out[k])
        doubtful |= not _in_range(out[k])
    return doubtful


@compiled
def _padded(stored: Stored) -> Stored:
    whole = np.zeros(SUB, stored.dtype)
    whole[: len(stored)] = stored
    return whole


@compiled
def _lanes(a: Stored, b: Stored, sums: NDArray[np.float32]) -> None:
    for first in range(0, SUB, RUN * LANES):
        for j in range(0, LANES, WIDE):
            s0, s1, s2 = line(sums, j), line(sums, LANES + j), line(sums, 2 * LANES + j)
            s3, s4, s5 = line(sums, 3 * LANES + j), line(sums, 4 * LANES + j), line(sums, 5 * LANES + j)
            s6, s7, s8 = line(sums, 6 * LANES + j), line(sums, 7 * LANES + j), line(sums, 8 * LANES + j)
            m = line(sums, 9 * LANES + j)
            for at in range(first + j, first + RUN * LANES, LANES):
                x, y = values(line(a, at)), values(line(b, at))
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
                m = larger(dd, m)
            put(sums, j, s0)
            put(sums, LANES + j, s1)
            put(sums, 2 * LANES + j, s2)
            put(sums, 3 * LANES + j, s3)
            put(sums, 4 * LANES + j, s4)
            put(sums, 5 * LANES + j, s5)
            put(sums, 6 * LANES + j, s6)
            put(sums, 7 * LANES + j, s7)
            put(sums, 8 * LANES + j, s8)
            put(sums, 9 * LANES + j, m)


@compiled
def _close(sums: NDArray[np.float32], halves: Rows, row: Rows) -> None:
    for column in range(9):
        row[column] = by_halves(sums, column * LANES, LANES, halves)
    row[9] = np.sqrt(np.float64(sums[9].max()))


@compiled
def by_halves(lanes: NDArray[np.float32], first: int, n: int, halves: Rows) -> float:
    """``moments.by_halves`` of the ``n`` lanes from the flat place ``first`` on, in float64. ``halves`` is
    room for half of them."""
    width = n // 2
    for j in range(0, width, WIDE):
        put(halves, j, wide(line(lanes, first + j)) + wide(line(lanes, first + width + j)))
    while width > WIDE:
        width //= 2
        for j in range(0, width, WIDE):
            put(halves, j, line(halves, j) + line(halves, width + j))
    return float(folded(line(halves, 0)))


@compiled
def _in_range(row: Rows) -> bool:
    in_range: bool = (
        np.isfinite(row[:10].sum())
        and (row[9] == 0 or row[9] >= SMALL_RESIDUAL)
        and min(row[3], row[4]) >= SMALL_SQUARES
    )
    return in_range


@compiled
def _counts(a: Stored, b: Stored, pad: int, shift: int, counts: Stored, row: Rows) -> None:
    counts[:] = 0
    equal = zero_a = zero_b = union_a = union_b = line(counts, 0)
    for at in range(0, SUB, WIDE):
        x, y = line(a, at), line(b, at)
        equal += same(x, y)
        zero_a += zero(x)
        zero_b += zero(y)
        union_a |= x
        union_b |= y
    put(counts, 0, equal)
    put(counts, WIDE, zero_a)
    put(counts, 2 * WIDE, zero_b)
    put(counts, 4 * WIDE, union_a)
    put(counts, 5 * WIDE, union_b)
    if counts[WIDE : 2 * WIDE].any() and counts[2 * WIDE : 3 * WIDE].any():
        both = line(counts, 3 * WIDE)
        for at in range(0, SUB, WIDE):
            both += zero(line(a, at) | line(b, at))
        put(counts, 3 * WIDE, both)
    for n in range(4):
        row[10 + n] = np.int64(counts[n * WIDE : (n + 1) * WIDE].sum()) - pad
    for n in range(4, 6):
        union = np.int64(0)
        for j in range(n * WIDE, (n + 1) * WIDE):
            union |= np.int64(counts[j])
        row[10 + n] = _mantissa_bits(union << shift)


@compiled
def _mantissa_bits(union: np.int64) -> int:
    for low in range(23):
        if union >> low & 1:
            return 23 - low
    return 0
