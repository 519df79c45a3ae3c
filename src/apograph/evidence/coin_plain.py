"""The inner products of ``coin_products`` in numpy: slower, the same bits; float64 where a side is stored
so."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.moments import SUB, Stored, by_halves, values_of

Products: TypeAlias = NDArray[np.float64]
"""[3, units]: the inner product of each unit with its counterpart, and the squared length on either side."""
LANES = 128
"""Lanes that sum a row in float32, in order; they are summed by halves, in float64."""
STEP = 8 * SUB
"""Elements whose products are summed by themselves, before they are added to those before."""
GROUP = 16
"""Rows that are summed in float32, in order, for products of columns; above that, float64."""


class Lines(NamedTuple):
    """Units are the rows or the columns of matrices ``width`` wide."""

    width: int
    columns: bool

    def room(self, start: int, n: int) -> Products:
        """Zeros for the units that ``n`` flat elements from ``start`` on belong to."""
        rows = -(-(start + n) // self.width) - start // self.width
        return np.zeros((3, self.width if self.columns else rows))


def products(a: Stored, b: Stored, start: int, width: int, columns: bool, out: Products) -> None:
    """Add to ``out`` the products of every row, or every column, of matrices ``width`` wide in their flat
    elements from ``start`` on. The first row of ``out`` is the one in which ``start`` lies."""
    x, y = values_of(a), values_of(b)
    for at in range(0, len(x), STEP):
        step = x[at : at + STEP], y[at : at + STEP]
        if columns:
            _columns(*step, start + at, width, out)
        else:
            _rows(*step, start + at, width, out[:, (start + at) // width - start // width :])


def _rows(x: NDArray[Any], y: NDArray[Any], start: int, width: int, out: Products) -> None:
    edges = [0, *range(-start % width or width, len(x), width), len(x)]
    for i, (at, end) in enumerate(pairwise(edges)):
        for n, products in enumerate(_products(x[at:end], y[at:end], LANES)):
            out[n, i] += by_halves(reduce(np.add, products).astype(np.float64))


def _columns(x: NDArray[Any], y: NDArray[Any], start: int, width: int, out: Products) -> None:
    """Rows are grouped from the first whole one on."""
    head = min(-start % width, len(x))
    first = start % width
    if head:
        for n, products in enumerate(_products(x[:head], y[:head], head)):
            out[n, first : first + head] += products[0]
    for at in range(head, len(x), GROUP * width):
        part = slice(at, at + GROUP * width)
        for n, products in enumerate(_products(x[part], y[part], width)):
            out[n] += reduce(np.add, products)


def _products(x: NDArray[Any], y: NDArray[Any], width: int) -> list[NDArray[Any]]:
    """The elements' products as lines of ``width``, the last filled with zeros."""
    x, y = (np.pad(v, (0, -len(v) % width)).reshape(-1, width) for v in (x, y))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return [x * y, x * x, y * y]
