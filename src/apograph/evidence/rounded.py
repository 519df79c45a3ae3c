"""Values that were stored with less precision, on one side or before anything was made from a base.

Who trains on in bfloat16 what was published in float32 keeps the rounding of the base: two such releases
share it, in every direction, though neither was made from the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from apograph.evidence.rounding import FLOATS
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
    place of each type that either may have been rounded to, one after the other: small numbers of bfloat16
    lose more in float16."""
    return bool(np.all(np.abs(a.astype(np.float64) - b) <= (_units(a) + _units(b)) / 2))


def _units(values: Values) -> NDArray[np.float64]:
    """Units in the last place, of all the coarser types that hold every value."""
    held = [kind for kind in KINDS if np.array_equal(rounded(values, kind), values)] or ["F32"]
    units: NDArray[np.float64] = np.sum([FLOATS[kind].ulp(values) for kind in held], axis=0)
    return units
