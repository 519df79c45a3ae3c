"""Sums over two tensors element by element, the same whatever the block size, threads or kernel.

The elements are cut into fixed sub-blocks of 2^14, counted from the first of the pair. Within a sub-block
256 lanes each sum 64 elements in order, in float32; lanes are summed by halves and then sub-blocks in order,
in float64. So both kernels (``moments_fast`` with numba, ``moments_plain`` with numpy) give the same bits. A
float32 dot product over a whole block would be wrong in the fourth digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float64]
Stored: TypeAlias = NDArray[Any]
"""Elements of one side: uint16 (the bits of bfloat16), uint32 (the bits of float32), float32 or float64."""

LANES, DEPTH = 256, 64
SUB = LANES * DEPTH
NAMES = (
    *("sum_a", "sum_b", "sum_d", "sum_aa", "sum_bb", "sum_ad", "sum_dd", "sum_ddd", "sum_dddd", "max_d"),
    *("equal", "zero_a", "zero_b", "zero_both", "bits_a", "bits_b", "left_out"),
)
COLUMNS = len(NAMES)
MAXIMA = [NAMES.index(name) for name in ("max_d", "bits_a", "bits_b")]
_AA, _BB, _MAX, _ZA, _ZB = (NAMES.index(n) for n in ("sum_aa", "sum_bb", "max_d", "zero_a", "zero_b"))
_SUMS = slice(0, _MAX + 1)
# Fourth powers of smaller residuals, and squares of smaller elements, leave the range of float32.
SMALL_RESIDUAL, SMALL_SQUARES = 3e-9, 1e-30


@dataclass(frozen=True, slots=True)
class Moments:
    """What one pass says of two tensors a and b of ``n`` elements each, with d = b - a.

    ``equal`` counts elements of equal bits, ``zero_*`` exact zeros; ``bits_*`` is the largest number of
    mantissa bits that any element of a side uses (bfloat16: at most 7, float16: 10). Pairs with an infinite
    element or NaN (``left_out``) count in ``n`` and in no sum.
    """

    n: int
    sum_a: float
    sum_b: float
    sum_d: float
    sum_aa: float
    sum_bb: float
    sum_ad: float
    sum_dd: float
    sum_ddd: float
    sum_dddd: float
    max_d: float
    equal: int
    zero_a: int
    zero_b: int
    zero_both: int
    bits_a: int
    bits_b: int
    left_out: int

    @classmethod
    def of(cls, n: int, rows: Rows) -> Moments:
        """Of the sub-blocks' rows [sub-blocks, COLUMNS], summed in order."""
        total = rows.sum(axis=0) if len(rows) else np.zeros(COLUMNS)
        total[MAXIMA] = rows[:, MAXIMA].max(axis=0, initial=0.0)
        values: list[Any] = [float(x) for x in total[: _MAX + 1]]
        return cls(n, *values, *(int(x) for x in total[_MAX + 1 :]))

    @property
    def used(self) -> int:
        """Pairs that are in the sums."""
        return self.n - self.left_out

    @property
    def sum_ab(self) -> float:
        """Sum of a b."""
        return self.sum_ad + self.sum_aa

    @property
    def cosine(self) -> float | None:
        """Cosine of a and b; None when one is all zero."""
        norm = math.sqrt(self.sum_aa) * math.sqrt(self.sum_bb)
        return None if norm == 0 else self.sum_ab / norm

    @property
    def variances(self) -> tuple[float, float, float]:
        """Variance of a, of b, and of d, each about its mean."""
        n = max(self.used, 1)
        pairs = ((self.sum_aa, self.sum_a), (self.sum_bb, self.sum_b), (self.sum_dd, self.sum_d))
        a, b, d = (max(square / n - (total / n) ** 2, 0.0) for square, total in pairs)
        return a, b, d

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation; None where a side is constant (its spread within the rounding of sums)."""
        a, b, d = self.variances
        n = max(self.used, 1)
        if a <= 1e-10 * self.sum_aa / n or b <= 1e-10 * self.sum_bb / n:
            return None
        return max(-1.0, min(1.0, (a + b - d) / (2 * math.sqrt(a) * math.sqrt(b))))

    @property
    def slope(self) -> float | None:
        """Slope of b on a through the origin."""
        return None if self.sum_aa == 0 else 1 + self.sum_ad / self.sum_aa

    @property
    def slope_back(self) -> float | None:
        """Slope of a on b through the origin."""
        return None if self.sum_bb == 0 else 1 - (self.sum_ad + self.sum_dd) / self.sum_bb

    @property
    def sigma(self) -> float:
        """Root mean square of d."""
        return math.sqrt(self.sum_dd / max(self.used, 1))

    @property
    def excess_kurtosis(self) -> float | None:
        """Of d about its mean; 0 for a normal law, None where d is constant."""
        n = max(self.used, 1)
        mean, m2, m3, m4 = (x / n for x in (self.sum_d, self.sum_dd, self.sum_ddd, self.sum_dddd))
        variance = m2 - mean**2
        if variance <= 1e-10 * m2:
            return None
        return (m4 - 4 * mean * m3 + 6 * mean**2 * m2 - 3 * mean**4) / variance**2 - 3


@cache
def fast() -> bool:
    """Whether numba (extra ``fast``) is there."""
    return find_spec("numba") is not None


def rows_of(a: Stored, b: Stored, plain: bool = False) -> Rows:
    """One row of NAMES for every sub-block of two flat arrays; the last may be shorter.

    ``plain`` forces the numpy kernel.
    """
    a, b = alike(a, b)
    out = np.zeros((-(-len(a) // SUB), COLUMNS))
    wide = doubtful = a.dtype == np.float64
    if not wide:
        if fast() and not plain:
            from apograph.evidence.moments_fast import fill
        else:
            from apograph.evidence.moments_plain import fill
        doubtful = fill(a, b, out)
    if wide:
        _widen(a, b, out, range(len(out)))
    elif doubtful:
        mend(a, b, out)
    return out


def mend(a: Stored, b: Stored, out: Rows) -> None:
    """Sum the sub-blocks again, in float64, that float32 could not hold."""
    _widen(a, b, out, np.flatnonzero(_out_of_range(out, len(a))))


def _widen(a: Stored, b: Stored, out: Rows, places: Iterable[int]) -> None:
    for k in places:
        part = slice(k * SUB, (k + 1) * SUB)
        out[k] = _wide_row(a[part], b[part])


def _out_of_range(out: Rows, n: int) -> NDArray[np.bool_]:
    """Sub-blocks that float32 cannot sum: infinite, NaN, or so small that powers vanish."""
    size = np.full(len(out), SUB)
    size[-1:] = n - SUB * (len(out) - 1)
    bad = ~np.isfinite(out[:, _SUMS]).all(axis=1)
    bad |= (out[:, _MAX] > 0) & (out[:, _MAX] < SMALL_RESIDUAL)
    for squares, zeros in ((_AA, _ZA), (_BB, _ZB)):
        bad |= (out[:, squares] < SMALL_SQUARES) & (out[:, zeros] < size)
    return bad


def _wide_row(a: Stored, b: Stored) -> Rows:
    """One row in float64."""
    x, y = widened(a), widened(b)
    equal = np.count_nonzero(x.view(np.uint64) == y.view(np.uint64))
    zeros = x == 0, y == 0
    used = np.isfinite(x) & np.isfinite(y)
    bits = [_mantissa_bits(side[np.isfinite(side)]) for side in (x, y)]
    left_out = len(x) - np.count_nonzero(used)
    x, y = np.where(used, x, 0.0), np.where(used, y, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        d = y - x
        dd = d * d
        sums = [v.sum() for v in (x, y, d, x * x, y * y, x * d, dd, dd * d, dd * dd)]
    counts = [equal, *(np.count_nonzero(z) for z in (*zeros, zeros[0] & zeros[1]))]
    return np.array([*sums, np.abs(d).max(initial=0.0), *counts, *bits, left_out], np.float64)


def widened(stored: Stored) -> NDArray[np.float64]:
    """The values of stored elements, in float64."""
    return values_of(stored).astype(np.float64)


def alike(a: Stored, b: Stored) -> tuple[Stored, Stored]:
    """Both as uint16 or uint32 bits; as float64 where a side is."""
    if np.float64 in (a.dtype, b.dtype):
        return widened(a), widened(b)
    if a.dtype == b.dtype == np.uint16:
        return a, b
    return values_of(a).view(np.uint32), values_of(b).view(np.uint32)


def by_halves(lanes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums along the last axis, a power of two long: the second half is added to the first, and again."""
    while (width := lanes.shape[-1] // 2) > 0:
        lanes = lanes[..., :width] + lanes[..., width:]
    return lanes[..., 0]


def values_of(stored: Stored) -> NDArray[Any]:
    """The values of stored elements: float32, or float64 as they are."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.view(np.float32) if stored.dtype == np.uint32 else stored


def _mantissa_bits(values: NDArray[np.float64]) -> int:
    used = int(np.bitwise_or.reduce(values.view(np.uint64), initial=0)) & ((1 << 52) - 1)
    return 52 - (used & -used).bit_length() + 1 if used else 0
