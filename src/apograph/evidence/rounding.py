"""What storage types round away, and the noise that is left when it is accounted for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENOUGH = 1000
"""Elements below which no noise is estimated."""


@dataclass(frozen=True, slots=True)
class FloatType:
    """A floating-point type: mantissa bits stored, and the exponent of its smallest normal number."""

    name: str
    bits: int
    lowest: int

    def ulp(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The unit in the last place at each value's magnitude."""
        exponent = np.frexp(values)[1] - 1
        exponent = np.maximum(np.where(values == 0, self.lowest, exponent), self.lowest)
        unit: NDArray[np.float64] = np.ldexp(1.0, exponent - self.bits)
        return unit

    def nearest(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The values as this type holds them, ties to even; those beyond its range stay."""
        unit = self.ulp(values)
        found: NDArray[np.float64] = np.rint(values / unit) * unit
        return found


FLOATS = {
    "F64": FloatType("F64", 52, -1022),
    "F32": FloatType("F32", 23, -126),
    "BF16": FloatType("BF16", 7, -126),
    "F16": FloatType("F16", 10, -14),
    "F8_E4M3": FloatType("F8_E4M3", 3, -6),
    "F8_E5M2": FloatType("F8_E5M2", 2, -14),
}
_TOLD_BY = 64


def float_type(dtype: str, bits: int, n: int) -> FloatType | None:
    """The type that ``n`` elements came from: that of storage, or a coarser one when all low bits are zero.
    ``bits`` is the largest number of mantissa bits in use. None for types that are not plain floats."""
    stored = FLOATS.get(dtype)
    if stored is None or n < _TOLD_BY:
        return stored
    for name in ("BF16", "F16", "F32"):
        if bits <= FLOATS[name].bits < stored.bits:
            return FLOATS[name]
    return stored


@dataclass(frozen=True, slots=True)
class Noise:
    """White noise between two tensors. ``sigma`` with ``low`` and ``high`` (95 %); ``n`` of the elements were
    used, a share of ``share``; ``rounding`` is the fitted number of roundings (0 to 2) of the coarser type;
    ``slope`` that of the child on the parent, ``slope_error`` its standard error."""

    sigma: float
    low: float
    high: float
    n: int
    share: float
    rounding: float
    excess_kurtosis: float
    slope: float
    slope_error: float
    used: NDArray[np.bool_]


def noise_between(parent: NDArray[Any], child: NDArray[Any], coarser: FloatType | None) -> Noise | None:
    """The noise by which ``child`` differs from ``parent``, where the storage type lets it be seen.

    Of elements whose unit in the last place (of the coarser type, at the parent's magnitude) is at most
    half of sigma, the mean square of the difference is fitted as sigma^2 + k ulp^2 / 12, jointly over the
    powers of two that the units take (Sheppard's correction; k is free since either side, or both, may have
    been rounded). The parent's magnitude, not the child's, chooses the elements: the noise does not depend on
    it. None when fewer than ``ENOUGH`` are left.
    """
    d = child.astype(np.float64) - parent
    ulp = np.zeros(d.shape) if coarser is None else coarser.ulp(parent.astype(np.float64))
    sigma = math.sqrt(np.mean(d * d))
    used, variance, error, rounding = np.ones(d.shape, bool), sigma**2, 0.0, 0.0
    for _ in range(8):
        used = ulp <= 0.5 * sigma
        if np.count_nonzero(used) < ENOUGH:
            return None
        variance, error, rounding = _fit(d[used], ulp[used])
        if variance <= 0:
            return None
        if abs(math.sqrt(variance) - sigma) <= 1e-6 * sigma:
            break
        sigma = math.sqrt(variance)
    x, p = d[used], parent[used].astype(np.float64)
    centred = x - x.mean()
    squares, spread = float(np.mean(centred**2)), float(np.sum(p * p))
    return Noise(
        sigma=math.sqrt(variance),
        low=math.sqrt(max(variance - 1.96 * error, 0.0)),
        high=math.sqrt(variance + 1.96 * error),
        n=len(x),
        share=len(x) / d.size,
        rounding=rounding,
        excess_kurtosis=float(np.mean(centred**4)) / squares**2 - 3 if squares > 0 else 0.0,
        slope=1 + float(np.sum(x * p)) / spread if spread > 0 else 1.0,
        slope_error=math.sqrt(variance / spread) if spread > 0 else math.inf,
        used=used,
    )


def _fit(d: NDArray[np.float64], ulp: NDArray[np.float64]) -> tuple[float, float, float]:
    """sigma^2, its standard error, and k, by weighted least squares over the distinct units."""
    plain = float(np.mean(d * d))
    if plain == 0 or float(np.max(ulp)) ** 2 / 12 < 1e-7 * plain:
        return plain, plain * math.sqrt(2 / len(d)), 0.0
    power = np.frexp(ulp)[1]  # units are powers of two
    place = power - power.min()
    counts = np.bincount(place)
    there = counts > 0
    n = counts[there].astype(np.float64)
    mean = np.bincount(place, d * d)[there] / n
    units = np.ldexp(1.0, np.flatnonzero(there) + power.min() - 1)
    x, weight = units**2 / 12, n / (2 * plain**2)
    s0, s1, s2 = weight.sum(), (weight * x).sum(), (weight * x * x).sum()
    t0, t1 = (weight * mean).sum(), (weight * x * mean).sum()
    determinant = s0 * s2 - s1 * s1
    k = (s0 * t1 - s1 * t0) / determinant if determinant > 1e-12 * s0 * s2 else 1.0
    k_used = min(max(k, 0.0), 2.0)
    bound = determinant <= 1e-12 * s0 * s2 or k != k_used
    error = math.sqrt(1 / s0 if bound else s2 / determinant)
    return (t0 - k_used * s1) / s0, error, k_used
