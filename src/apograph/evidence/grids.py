"""Grids on which quantised values lie, found from the values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.rounding import FloatType

GROUPS = (32, 64, 128, 256)
"""Sizes of groups that share a scale in common formats; a whole row is tried as well."""
MOST = 64
"""Groups that are looked at."""
_FIRST = 8
_FIT = 0.9
_TOLERANCE = 0.1
_ELEMENTS = 2**18
"""Elements in which roundings are looked at."""
_STRAY, _STRAY_OF_EXPECTED = 1e-3, 0.1
"""Shares of elements on the other side of a boundary that still count as none: of all, and of those that a
third release would have there."""
_EXPECTED = 10
Rounds: TypeAlias = Literal["yes", "no", "open"]
# Normal Float 4: quantiles of the normal law at evenly spaced levels (Dettmers et al. 2023, appendix E).
_NF4 = np.array(
    (
        *(-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0),
    )
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Values on ``kind`` ("uniform" or "nf4") levels in groups of ``group`` elements along rows. ``bits``
    hold the levels; ``share`` is the share of groups looked at that fit; ``step`` the median step (for nf4
    the median scale)."""

    kind: str
    bits: int
    group: int
    share: float
    step: float


def grid_of(values: NDArray[Any]) -> Grid | None:
    """The grid of a matrix [rows, columns], by the smallest group that fits; None when there is none.

    Uniform: the distinct values of a group are whole multiples of one step apart and span at most 256 steps.
    Values rounded to bfloat16 after they were dequantised show 4-bit grids only. Groups may run over the ends
    of rows, where all rows are there.
    """
    width = values.shape[1]
    for group in (*(g for g in GROUPS if g < width and values.size % g == 0), width):
        if group < 16:
            continue
        rows = values.reshape(-1, group)
        rows = rows[:: max(len(rows) // MOST, 1)].astype(np.float64)
        rows = rows[np.abs(rows).max(axis=1) > 0]
        if len(rows) < 4:
            continue
        if found := _nf4(rows, group) or _uniform(rows, group):
            return found
    return None


def _nf4(rows: NDArray[np.float64], group: int) -> Grid | None:
    scale = np.abs(rows).max(axis=1)
    unit = rows / scale[:, None]
    near = np.abs(unit[..., None] - _NF4).min(axis=-1).max(axis=1)
    share = float(np.mean(near < 4e-3))
    return Grid("nf4", 4, group, share, float(np.median(scale))) if share >= _FIT else None


def _uniform(rows: NDArray[np.float64], group: int) -> Grid | None:
    if sum(_steps(row)[0] > 0 for row in rows[:_FIRST]) < len(rows[:_FIRST]) / 2:
        return None
    found = [_steps(row) for row in rows]
    fitting = [(step, levels) for step, levels in found if step > 0]
    share = len(fitting) / len(rows)
    if share < _FIT:
        return None
    bits = 4 if np.median([levels for _, levels in fitting]) <= 16 else 8
    return Grid("uniform", bits, group, share, float(np.median([step for step, _ in fitting])))


def _steps(row: NDArray[np.float64]) -> tuple[float, int]:
    """The step of a row and the number of levels that it spans; (0, 0) for no grid."""
    distinct = np.unique(row)
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-4 * np.abs(row).max()]  # gaps below are rounding of one level
    if len(gaps) < 3:
        return 0.0, 0
    step = float(gaps.min())
    if gaps.max() > 300 * step or len(gaps) > 256:
        return 0.0, 0
    step = float(np.mean(gaps / np.rint(gaps / step)))
    off = np.abs(gaps / step - np.rint(gaps / step)).max()
    levels = round((distinct[-1] - distinct[0]) / step) + 1
    # A continuous law has its smallest gap far below the mean one, and no gap a multiple of it.
    return (step, levels) if off < _TOLERANCE and levels <= 260 else (0.0, 0)


def rounds_to(a: NDArray[Any], b: NDArray[Any], grid: Grid, own: FloatType | None) -> Rounds:
    """Whether ``b``, on ``grid``, is what rounding ``a`` [rows, columns] to nearest gives.

    Two roundings of a third differ in what lay between ``a`` and a boundary of the grid. ``own`` is the type
    to which ``a`` itself was rounded, None for one that lost nothing: with it the answer is "open" unless
    there are enough elements so near to a boundary that a third's would be seen on its other side. A scale
    kept in float16 moves boundaries by 2^-11 of the value.
    """
    few = max(1, _ELEMENTS // grid.group)
    x, y = (v.reshape(-1, grid.group)[:few].astype(np.float64) for v in (a, b))
    beyond = _beyond_nf4(x, y) if grid.kind == "nf4" else _beyond_step(x, y)
    slack = np.abs(x) * 2.0**-10 + 1e-3 * np.abs(y).max(axis=1, keepdims=True) * 2.0**-grid.bits
    off = np.count_nonzero(beyond > slack)
    if off > _STRAY * x.size or own is None:
        return "no" if off > _STRAY * x.size else "yes"
    unit, near = own.ulp(x), np.abs(beyond)
    expected = np.sum(np.where(near > slack, np.maximum(0.5 - near / unit, 0.0), 0.0))
    if expected < _EXPECTED:
        return "open"
    return "yes" if off <= _STRAY_OF_EXPECTED * expected else "no"


def _beyond_step(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far x lies beyond half a step from y, by groups; never beyond the ends of a group's levels."""
    gaps = np.diff(np.sort(y, axis=1), axis=1)
    least = np.where(gaps > 1e-4 * np.abs(y).max(axis=1, keepdims=True), gaps, np.inf).min(axis=1)
    low, high = y.min(axis=1, keepdims=True), y.max(axis=1, keepdims=True)
    span = (high - low)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(np.isfinite(least), span / np.rint(span / least), np.inf)[:, None]
    open_end = ((y == high) & (x > y)) | ((y == low) & (x < y))
    found: NDArray[np.float64] = np.where(open_end, -np.inf, np.abs(x - y) - step / 2)
    return found


def _beyond_nf4(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for the levels of Normal Float 4."""
    scale = np.maximum(np.abs(y).max(axis=1, keepdims=True), 1e-300)
    middle = (_NF4[1:] + _NF4[:-1]) / 2
    code = np.searchsorted(middle, y / scale)
    edges = np.concatenate([[-np.inf], middle, [np.inf]])
    found: NDArray[np.float64] = np.maximum(edges[code] - x / scale, x / scale - edges[code + 1]) * scale
    return found
