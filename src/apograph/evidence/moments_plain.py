"""The sums of ``moments`` in numpy: slower, the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.moments import DEPTH, LANES, SUB, Rows, Stored, by_halves, values_of

_STEP = 16  # sub-blocks at a time: a few MB of temporaries


def fill(a: Stored, b: Stored, out: Rows) -> bool:
    """Fill ``out`` [sub-blocks, COLUMNS] from the bits of two flat arrays of one type. True: whether float32
    held every sub-block was not looked at."""
    for first in range(0, len(out), _STEP):
        part = slice(first * SUB, (first + _STEP) * SUB)
        _fill(values_of(a[part]), values_of(b[part]), out[first : first + _STEP])
    return True


def _fill(a: NDArray[np.float32], b: NDArray[np.float32], out: Rows) -> None:
    size = len(out) * SUB
    pad = size - len(a)
    x, y = (np.pad(v, (0, pad)).reshape(len(out), DEPTH, LANES) for v in (a, b))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        d = y - x
        dd = d * d
        for column, terms in enumerate((x, y, d, x * x, y * y, x * d, dd, dd * d, dd * dd)):
            out[:, column] = by_halves(np.add.reduce(terms, axis=1).astype(np.float64))
        out[:, 9] = np.sqrt(np.fmax.reduce(dd.reshape(len(out), SUB), axis=1).astype(np.float64))
    p, q = x.view(np.uint32).reshape(len(out), SUB), y.view(np.uint32).reshape(len(out), SUB)
    zero = p << np.uint32(1) == 0, q << np.uint32(1) == 0
    for column, true in enumerate((p == q, *zero, zero[0] & zero[1]), start=10):
        out[:, column] = np.count_nonzero(true, axis=1)
        out[-1, column] -= pad
    for column, bits in enumerate((p, q), start=14):
        out[:, column] = [_mantissa_bits(int(u)) for u in np.bitwise_or.reduce(bits, axis=1)]


def _mantissa_bits(union: int) -> Any:
    used = union & 0x7FFFFF
    return 23 - (used & -used).bit_length() + 1 if used else 0
