"""Which side of a difference of low rank was rounded: the one into which the product was merged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.rounding import FloatType
from apograph.findings import Side

ENOUGH = 100
"""Elements of each kind below which nothing is said."""
FITS = 0.5, 2.0
"""Mean square of what is left, over ulp^2 / 12, where the rounding was that type's at that magnitude: nearer
to 1 than to the 4 or 1/4 of the other side's magnitude. Two roundings leave 5 in one kind of elements."""


def source_of_product(
    a: NDArray[Any], b: NDArray[Any], rank: int, type_a: FloatType | None, type_b: FloatType | None
) -> Side | None:
    """The side that came first when ``b`` - ``a`` [rows, columns] is a product of ``rank`` and rounding.

    Whoever merges a product rounds the *sum*: what is left beside the product is uniform within half a unit
    in the last place at the sum's magnitude, not at the other side's. Elements whose magnitude crossed a
    power of two, up or down, tell the two apart (mean squares 1 and 1 against 4 and 1/4). None where it does
    not show; and where the source would be of a finer type: two that each merged a product of their own into
    a third look like that, as the finer one's rounding is lost in the other's.
    """
    if type_a is None or type_b is None:
        return None
    x, y = a.astype(np.float64), b.astype(np.float64)
    d = y - x
    small = d if d.shape[0] <= d.shape[1] else d.T
    vectors = np.linalg.eigh(small @ small.T)[1][:, -rank:]
    left = small - vectors @ (vectors.T @ small)
    left = left if d.shape[0] <= d.shape[1] else left.T
    m, n = d.shape
    fitted = float(np.mean(left * left)) * rank * (m + n) / (m * n)  # the product took some rounding with it
    units = [type_a.ulp(x), type_b.ulp(y)]
    crossed = [units[0] < units[1], units[0] > units[1]]
    groups = [c for c in crossed if np.count_nonzero(c) >= ENOUGH]
    fitting: list[Side] = []
    sources: tuple[Side, Side] = ("candidate", "reference")  # the rounded side is not the source
    for source, unit in zip(sources, units, strict=True):
        ratios = [(float(np.mean(left[g] ** 2)) - fitted) * 12 / float(np.mean(unit[g] ** 2)) for g in groups]
        if ratios and all(FITS[0] < r < FITS[1] for r in ratios):
            fitting.append(source)
    if len(fitting) != 1:
        return None
    types: dict[Side, FloatType] = {"reference": type_a, "candidate": type_b}
    finer = types[fitting[0]].bits > types["candidate" if fitting[0] == "reference" else "reference"].bits
    return None if finer else fitting[0]
