"""Tables that software computes, told by content: equal in models that have nothing to do with each other.

Identities and masks hold two values. Sinusoids, windows, ramps and the kernels of Fourier transforms follow a
linear recurrence of order two (a sinusoid exactly; Prony's method, any textbook of spectral analysis), and
filterbanks are rows of narrow humps. Weights that were trained or drawn do neither. Tables of positions, on a
line or in a plane, were computed or began so, and change slowly from row to row; rows of other weights have
no order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.tensors import Part
from apograph.evidence.moments import values_of
from apograph.evidence.stream import part_range, stored
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore

EXPLAINED = 0.99
"""Share of a line's variance that the recurrence explains. Windows of 128 points leave 0.003, bfloat16 up to
0.005."""
MOST = 0.75
"""Share of the lines that can tell which must be regular."""
FEWEST = 8
"""Lines, and terms of a line, below which chance can look regular: two free coefficients explain 0.99 of
eight random terms once in 10^6."""
SMOOTH, CHANCE = 0.5, 4.0
"""Mean cosine of neighbouring rows, less the median row, from which a table is one of positions; standard
errors of rows along one line, that may point either way."""
LINES, ROWS, COLUMNS = 64, 512, 2048

Values = NDArray[Any]


def computed_table(values: Values) -> bool:
    """Whether [rows, columns] is a table that software computes: at most two distinct values, or most rows,
    or most columns, regular, or rows that change slowly. A matrix of two values, and learned positions, are
    called so even if they were trained."""
    if np.isnan(values).any():
        return False
    if np.all((values == values.min()) | (values == values.max())):
        return True
    if _smooth(values.astype(np.float64)):
        return True
    sides = [_spread(x).astype(np.float64) for x in (values, values.T)]
    return any(bool(np.isfinite(lines).all()) and _regular(lines) for lines in sides)


def _smooth(rows: Values) -> bool:
    """Whether neighbouring rows are alike, also without their two strongest directions: rows of a vocabulary
    that is sorted by how frequent its words are change slowly along one."""
    if len(rows) < FEWEST or not np.isfinite(rows).all():
        return False
    rows = rows - np.median(rows, axis=0)
    if not _alike(rows):
        return False
    vectors = np.linalg.eigh(rows @ rows.T)[1][:, -2:]
    return _alike(rows - vectors @ (vectors.T @ rows))


def _alike(rows: Values) -> bool:
    lengths = np.linalg.norm(rows, axis=1)
    both = lengths[1:] * lengths[:-1]
    cosines = (rows[1:] * rows[:-1]).sum(axis=1)[both > 0] / both[both > 0]
    n = len(cosines)
    return n >= FEWEST and float(cosines.mean()) >= max(SMOOTH, CHANCE / math.sqrt(n))


def table_rows(store: TensorStore, part: Part) -> Values:
    """Rows of a tensor at one even stride, [rows, columns]: at most ``ROWS`` and the first ``COLUMNS``
    elements of each. What follows a recurrence of order two down its rows does so at any even stride."""
    first, last = part_range(store, part)
    width = max(element_count((store.infos[part.name].shape or ())[1:]) or 1, 1)
    rows = max((last - first) // width, 1)
    chosen = range(0, rows, -(-rows // ROWS))
    cut = min(width, COLUMNS)
    return np.stack([values_of(stored(store, part, k * width, k * width + cut)) for k in chosen])


def _spread(x: Values) -> Values:
    """At most ``LINES`` lines, evenly spaced."""
    return x[:: -(-len(x) // LINES)]


def _regular(lines: Values) -> bool:
    return any(_most(told(lines), len(lines)) for told in (_recurrences, _humps))


def _most(told: Iterator[bool], lines: int) -> bool:
    """Whether most are; asked no further than until too few of at most so many ``lines`` can be."""
    yes = no = 0
    for regular in told:
        yes, no = yes + regular, no + (not regular)
        if no > (1 - MOST) * lines:
            return False
    return yes + no >= FEWEST and yes >= MOST * (yes + no)


def _recurrences(lines: Values) -> Iterator[bool]:
    """Of every line that varies: whether x[t] = a x[t-1] + b x[t-2], outside stretches of zeros."""
    for x in lines:
        past = np.stack([x[1:-1], x[:-2]], axis=1)
        used = past.any(axis=1) | (x[2:] != 0)
        y, past = x[2:][used], past[used]
        if len(y) < FEWEST or np.ptp(y) == 0:
            continue
        fit = np.linalg.lstsq(past, y, rcond=None)[0]
        left = float(np.mean((y - past @ fit) ** 2))
        yield left < (1 - EXPLAINED) * float(np.var(y))


def _humps(lines: Values) -> Iterator[bool]:
    """Of every line with several values that are not zero: whether these are positive, side by side, in half
    of the line or less, and rise, then fall."""
    for x in lines:
        at = np.flatnonzero(x)
        if len(at) < 2:
            continue
        hump = x[at[0] : at[-1] + 1]
        slopes = np.sign(np.diff(hump))
        falls = bool(np.all(np.diff(slopes[slopes != 0]) <= 0))
        yield bool(2 * len(hump) <= len(x) and hump.min() > 0 and falls)
