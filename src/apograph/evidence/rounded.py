"""Values that were stored with less precision, on one side or before anything was made from a base.

Who trains on in bfloat16 what was published in float32 keeps the rounding of the base: two such releases
share it, in every direction, though neither was made from the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np

from apograph.evidence.rounding import FLOATS, FloatType
from apograph.release.elements import Values

KINDS: Mapping[str, type] = {"BF16": ml_dtypes.bfloat16, "F16": np.float16}


def rounded(values: Values, kind: str, near: Values | None = None) -> Values:
    """Values as ``kind`` holds them, in their own type; what is beyond its range stays as it is. A value half
    way between two goes to the one nearer to ``near``: it may have been rounded to that place before."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = values.astype(KINDS[kind]).astype(values.dtype)
        other = 2 * values - found
        held = other.astype(KINDS[kind]).astype(values.dtype) == other
    if near is not None:
        found = np.where(held & (np.abs(other - near) < np.abs(found - near)), other, found)
    kept: Values = np.where(np.isfinite(found), found, values)
    return kept


def one_origin(a: Values, b: Values) -> bool:
    """Whether both may be roundings of the same values: nowhere further apart than half a unit in the last
    place of each one's type."""
    limit = (_type_of(a).ulp(a) + _type_of(b).ulp(b)) / 2
    return bool(np.all(np.abs(a.astype(np.float64) - b) <= limit))


def _type_of(values: Values) -> FloatType:
    """The coarsest type that holds all of them."""
    held = (kind for kind in KINDS if np.array_equal(rounded(values, kind), values))
    return FLOATS[next(held, "F32")]
