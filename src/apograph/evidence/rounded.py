"""A base as it would be if it had been stored with less precision before anything was made from it.

Who trains on in bfloat16 what was published in float32 keeps the rounding of the base: two such releases
share it, in every direction, though neither was made from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from apograph.evidence.rounding import FLOATS
from apograph.findings import Unexamined
from apograph.release.elements import Bytes, Values
from apograph.release.tensor_store import TensorStore
from apograph.release.types import TensorInfo

KINDS: Mapping[str, type] = {"BF16": ml_dtypes.bfloat16, "F16": np.float16}


def rounded(values: Values, kind: str) -> Values:
    """Values as ``kind`` holds them, in their own type; what is beyond its range stays as it is."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = values.astype(KINDS[kind]).astype(values.dtype)
    kept: Values = np.where(np.isfinite(found), found, values)
    return kept


def also_rounded(base: TensorStore, sides: Iterable[TensorStore]) -> Iterator[TensorStore]:
    """The base, then as each coarser type that a side stores something in would hold it."""
    yield base
    theirs = {side.dtype(name) for side in sides for name in side.infos}
    bits = max((FLOATS[d].bits for n in base.infos if (d := base.dtype(n)) in FLOATS), default=0)
    for kind in KINDS:
        if kind in theirs and FLOATS[kind].bits < bits:
            yield RoundedStore(base, kind)


class RoundedStore:
    """A ``TensorStore`` of another's tensors rounded to ``kind`` ("BF16", "F16") where they are finer."""

    def __init__(self, store: TensorStore, kind: str) -> None:
        self._store, self._kind = store, kind

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._store.infos

    @property
    def unexamined(self) -> tuple[Unexamined, ...]:
        return self._store.unexamined

    def dtype(self, name: str) -> str:
        own = self._store.dtype(name)
        return self._kind if own in FLOATS and FLOATS[own].bits > FLOATS[self._kind].bits else own

    def block(self, name: str, start: int, stop: int) -> Values:
        values = self._store.block(name, start, stop)
        return rounded(values, self._kind) if self.dtype(name) != self._store.dtype(name) else values

    def raw(
        self, name: str, start: int, stop: int, out: Bytes | None = None
    ) -> NDArray[np.unsignedinteger] | None:
        """None: the values are computed."""
        return None

    def check(self) -> None:
        self._store.check()

    def close(self) -> None:
        self._store.close()
