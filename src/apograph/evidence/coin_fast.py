"""The inner products of ``coin_products`` compiled by numba: three sums in one turn over two sides.

No fast-math: lines are added in order, so that numpy gives the same bits (``coin_plain``).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.coin_plain import GROUP, LANES, STEP, Products
from apograph.evidence.moments import Stored
from apograph.evidence.moments_fast import by_halves
from apograph.evidence.numba_bits import WIDE, add_wide, compiled, line, nothing, put, value, values

_Sums: TypeAlias = NDArray[np.float32]
_Sum: TypeAlias = NDArray[np.float64]


@compiled
def products(a: Stored, b: Stored, start: int, width: int, columns: bool, out: Products) -> None:
    """See ``coin_plain.products``."""
    for at in range(0, len(a), STEP):
        end = min(at + STEP, len(a))
        add_step(a[at:end], b[at:end], start + at, start // width, width, columns, out)


@compiled
def add_step(
    a: Stored, b: Stored, start: int, row: int, width: int, columns: bool, out: Products
) -> None:  # fmt: skip
    """``products`` of at most ``STEP`` elements; ``row`` is the first of ``out``."""
    if columns:
        _columns(a, b, start, width, out)
    else:
        _rows(a, b, start, width, out[:, start // width - row :])


@compiled
def _rows(a: Stored, b: Stored, start: int, width: int, out: Products) -> None:
    sums, halves = np.empty((3, LANES), np.float32), np.empty(LANES // 2)
    i = at = 0
    while at < len(a):
        end = min(at + width - (start + at) % width, len(a))
        sums[:] = 0
        _lines(a[at:end], b[at:end], LANES, sums)
        for n in range(3):
            out[n, i] += by_halves(sums, n * LANES, LANES, halves)
        i, at = i + 1, end


@compiled
def _columns(a: Stored, b: Stored, start: int, width: int, out: Products) -> None:
    head = min(-start % width, len(a))
    first = start % width
    if head:
        _group(a[:head], b[:head], head, out[0, first:], out[1, first:], out[2, first:])
    for at in range(head, len(a), GROUP * width):
        end = min(at + GROUP * width, len(a))
        _group(a[at:end], b[at:end], width, out[0], out[1], out[2])


@compiled
def _group(a: Stored, b: Stored, width: int, ab: _Sum, aa: _Sum, bb: _Sum) -> None:
    """Lines of ``width``, the last of which may be shorter: two registers' worth of columns at a time."""
    part = len(a) % width
    for j in range(0, width, 2 * WIDE):
        half, end = j + WIDE, j + 2 * WIDE
        if end > width or j < part < end:
            _few(a, b, width, j, min(end, width), ab, aa, bb)
            continue
        s0 = s1 = s2 = t0 = t1 = t2 = nothing()
        for at in range(j, len(a), width):
            x, y = values(line(a, at)), values(line(b, at))
            s0 += x * y
            s1 += x * x
            s2 += y * y
            x, y = values(line(a, at + WIDE)), values(line(b, at + WIDE))
            t0 += x * y
            t1 += x * x
            t2 += y * y
        add_wide(ab, j, s0)
        add_wide(aa, j, s1)
        add_wide(bb, j, s2)
        add_wide(ab, half, t0)
        add_wide(aa, half, t1)
        add_wide(bb, half, t2)


@compiled
def _few(a: Stored, b: Stored, width: int, first: int, end: int, ab: _Sum, aa: _Sum, bb: _Sum) -> None:
    """The same of columns [first, end), one by one."""
    for j in range(first, end):
        s0 = s1 = s2 = np.float32(0)
        for at in range(j, len(a), width):
            x, y = value(a[at]), value(b[at])
            s0 += x * y
            s1 += x * x
            s2 += y * y
        ab[j] += np.float64(s0)
        aa[j] += np.float64(s1)
        bb[j] += np.float64(s2)


@compiled
def _lines(a: Stored, b: Stored, width: int, sums: _Sums) -> None:
    """Add lines of ``width``, the last of which may be shorter."""
    whole = len(a) // width * width
    even = width // WIDE * WIDE
    ab, aa, bb = sums[0], sums[1], sums[2]
    for j in range(0, even, WIDE):
        s0, s1, s2 = line(ab, j), line(aa, j), line(bb, j)
        for at in range(j, whole, width):
            x, y = values(line(a, at)), values(line(b, at))
            s0 += x * y
            s1 += x * x
            s2 += y * y
        put(ab, j, s0)
        put(aa, j, s1)
        put(bb, j, s2)
    for at in range(0, whole, width):
        end = at + width
        _line(a[at + even : end], b[at + even : end], ab[even:], aa[even:], bb[even:])
    _line(a[whole:], b[whole:], ab, aa, bb)


@compiled
def _line(a: Stored, b: Stored, ab: _Sums, aa: _Sums, bb: _Sums) -> None:
    for j in range(len(a)):
        x, y = value(a[j]), value(b[j])
        ab[j] += x * y
        aa[j] += x * x
        bb[j] += y * y
