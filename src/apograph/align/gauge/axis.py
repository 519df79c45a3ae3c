"""How one axis of a candidate's matrix is carried into the reference's order, signs, scale and basis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """``before`` scales the candidate's places; ``index`` [length] says which of them comes where (-1: none,
    zeros); ``mix`` [blocks, size, size] then multiplies blocks of places from the right; ``after`` scales the
    result. Everything None: nothing changes."""

    before: Floats | None = None
    index: NDArray[np.int64] | None = None
    mix: Floats | None = None
    after: Floats | None = None

    @property
    def exact(self) -> bool:
        """Whether values only change their places and signs."""
        factors = [f for f in (self.before, self.after) if f is not None]
        return self.mix is None and all(bool((np.abs(f) == 1).all()) for f in factors)

    @property
    def trivial(self) -> bool:
        """Whether nothing changes at all."""
        fixed = self.index is None or np.array_equal(self.index, np.arange(len(self.index)))
        factors = [f for f in (self.before, self.after) if f is not None]
        return fixed and self.mix is None and all(bool((f == 1).all()) for f in factors)

    def last(self, values: Floats) -> Floats:
        """``values`` [..., places] with the last axis carried over. Exact maps keep the type of the values,
        mixing computes in that of ``mix``, all else in float64."""
        x = values
        if not self.exact:
            x = values.astype(np.float64 if self.mix is None else self.mix.dtype, copy=False)
        if self.before is not None:
            x = x * self.before.astype(x.dtype)
        if self.index is not None:
            gone = self.index < 0
            x = x[..., np.where(gone, 0, self.index)]
            if gone.any():
                x[..., gone] = 0
        if self.mix is not None:
            blocks, size = self.mix.shape[:2]
            parts = x.reshape(-1, blocks, size).swapaxes(0, 1)
            x = (parts @ self.mix).swapaxes(0, 1).reshape(*x.shape[:-1], -1)
        return x if self.after is None else x * self.after.astype(x.dtype)

    def first(self, values: Floats) -> Floats:
        """``values`` [places, ...] with the first axis carried over, as ``last``."""
        return self.last(values.T).T

    def cut(self, first: int, stop: int) -> tuple[Axis, NDArray[np.int64] | None]:
        """The map of places [first, stop) of the result (whole blocks of ``mix``, but for a single one), and
        which of the candidate's places it needs, in that order (-1: none); None: all, as they are stored."""
        after = None if self.after is None else self.after[first:stop]
        if self.mix is not None and len(self.mix) == 1:
            return replace(self, mix=self.mix[:, :, first:stop], after=after), None
        places = np.arange(first, stop) if self.index is None else self.index[first:stop]
        before = None if self.before is None else self.before[np.maximum(places, 0)]
        mix = self.mix
        if mix is not None:
            mix = mix[first // mix.shape[1] : stop // mix.shape[1]]
        return Axis(before, None, mix, after), places

    def scaled(self, before: Floats, after: Floats) -> Axis:
        """The same with factors ``before`` [places] instead of its own, ``after`` [length] times its own."""
        old = 1.0 if self.after is None else self.after
        return replace(self, before=before, after=old * after)

    def inverse_scaled(self) -> Axis:
        """The same places and signs with the inverse factors."""
        return self if self.after is None else replace(self, after=1 / self.after)


PLAIN = Axis()
