"""The hidden units of one MLP: order, signs and scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import Axis
from apograph.align.pairing import Index, pair_rows, unit_rows

Floats: TypeAlias = NDArray[Any]

ALIKE = 0.7
"""Correlation of the logarithms of a unit's factors in up and in down from which the units were rescaled;
factors of noise alone have none."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """``up``, ``gate`` and ``down`` carry the hidden axis of these matrices over. ``held`` and ``chance`` as
    in ``ModuleMap``."""

    up: Axis
    gate: Axis
    down: Axis
    held: float
    chance: float
    paired: int
    moved: int
    flipped: int
    scale: tuple[float, float]


def unit_map(
    up: tuple[Floats, Floats], down: tuple[Floats, Floats], gate: tuple[Floats, Floats] | None
) -> Units:
    """The map of the units between pairs of (reference's, candidate's) sketches [units, numbers] over one
    stream: of the rows of up and gate, and of the columns of down.

    Units are paired by |up| and |gate| alone, so that down tells whether the pairing is right. Signs and
    scales are the least squares' of up and down: noise of σ in the weights is off by σ/√numbers there.
    """
    rows = [up] if gate is None else [gate, up]
    index = pair_rows([a for a, _ in rows], [b for _, b in rows])
    there = index >= 0
    held, chance = _held(down, index)
    one, other = up[1][index[there]], down[1][index[there]]
    own = up[0][there], down[0][there]
    factors = _factor(own[0], one), _factor(own[1], other)
    size = np.linalg.norm(own[0], axis=1) ** 2, np.linalg.norm(own[1], axis=1) ** 2
    sign = np.where(factors[0] * size[0] + factors[1] * size[1] < 0, -1.0, 1.0)
    scale = np.ones(len(index))
    scale[there] = sign * _scale(*factors)
    flipped = int((scale < 0).sum())
    moved = int((index[there] != np.flatnonzero(there)).sum())
    axis = Axis(index=index, after=1 / scale)
    return Units(
        axis,
        Axis(index=index),
        axis.inverse_scaled(),
        held,
        chance,
        int(there.sum()),
        moved,
        flipped,
        (float(np.abs(scale).min()), float(np.abs(scale).max())),
    )


def _held(columns: tuple[Floats, Floats], index: Index) -> tuple[float, float]:
    """Median |cosine| of paired units in down, and of units paired with the next one's partner."""
    there = np.flatnonzero(index >= 0)
    if len(there) < 2:
        return 0.0, 0.0
    a, b = unit_rows(columns[0][there]), unit_rows(columns[1][index[there]])
    found = (np.abs(np.einsum("ij,ij->i", a, x)) for x in (b, np.roll(b, 1, axis=0)))
    held, chance = (float(np.median(x)) for x in found)
    return held, chance


def _factor(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Least squares of each row of ``b`` on that of ``a``."""
    over = np.einsum("ij,ij->i", a, a, dtype=np.float64)
    return np.asarray(np.einsum("ij,ij->i", a, b, dtype=np.float64) / np.maximum(over, 1e-30))


def _scale(up: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """|factor| of each unit in up, its inverse in down; 1 unless both tell the same."""
    a, b = np.log(np.maximum(np.abs(up), 1e-12)), -np.log(np.maximum(np.abs(down), 1e-12))
    if len(a) < 8 or min(a.std(), b.std()) < 1e-6 or np.corrcoef(a, b)[0, 1] < ALIKE:
        return np.ones(len(a))
    result: NDArray[np.float64] = np.exp((a + b) / 2)
    return result
