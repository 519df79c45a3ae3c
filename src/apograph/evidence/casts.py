"""One tensor as a coarser type holds another: which is finer, and whether the other is exactly its rounding.

Two roundings of a third release to different types lie within half a unit of each other as well. They differ
where one stands half way between two values of the other: there the third, not the even one, decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.rounding import FLOATS, FloatType
from apograph.evidence.stream import BLOCK
from apograph.findings import SIDES, Side

TIES = 8
"""Elements half way between two values of the coarser type that have to have gone to the even one, where the
finer side was itself rounded."""
Values: TypeAlias = Callable[[int, int], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Both sides' values of the flat elements [start, stop)."""


def cast_between(
    types: Sequence[FloatType | None], dtypes: Sequence[str], n: int, values: Values
) -> tuple[FloatType, Side | None] | None:
    """The coarser type, when every difference of the ``n`` elements is within half a unit of it; and the
    finer side, when the other is exactly that type's rounding of it. ``types`` hold all values of a side,
    ``dtypes`` are those of storage. Raises Refusal as ``values`` does."""
    a, b = types
    if a is None or b is None:
        return None
    if a.bits == b.bits:
        return _stored(dtypes, n, values)
    coarse, fine, kept = (b, 0, a) if b.bits < a.bits else (a, 1, b)
    found = _rounding(coarse, fine, n, values)
    if found is None:
        return None
    exact, ties = found
    sure = exact and (kept.bits >= FLOATS["F32"].bits or ties >= TIES)
    return coarse, SIDES[fine] if sure else None


def _stored(dtypes: Sequence[str], n: int, values: Values) -> tuple[FloatType, Side] | None:
    """Of two with equally many bits: small numbers lose some in a type of another range."""
    for fine, kind in ((0, FLOATS.get(dtypes[1])), (1, FLOATS.get(dtypes[0]))):
        if kind is not None and dtypes[0] != dtypes[1]:
            found = _rounding(kind, fine, n, values)
            if found is not None and found[0]:
                return kind, SIDES[fine]
    return None


def _rounding(coarse: FloatType, fine: int, n: int, values: Values) -> tuple[bool, int] | None:
    """Whether the other side is the rounding of side ``fine``, ties to even, and how many ties there are;
    None as soon as a difference is beyond half a unit."""
    exact, ties = True, 0
    for start in range(0, n, BLOCK):
        both = values(start, min(start + BLOCK, n))
        x, y = both[fine], both[1 - fine]
        with np.errstate(invalid="ignore"):
            off, half = np.abs(y - x), 0.5 * coarse.ulp(x)
            if (off > half).any():
                return None
            exact = exact and bool(np.array_equal(coarse.nearest(x), y))
        ties += int(np.count_nonzero(off == half))
    return exact, ties
