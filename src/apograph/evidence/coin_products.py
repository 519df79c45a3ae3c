"""Inner products of units: what the sign coins are thrown from, summed in the common reading pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from apograph.align.modules import Module, Slice
from apograph.align.tensors import Match, Part
from apograph.evidence import coin_plain
from apograph.evidence.coin_plain import Lines
from apograph.evidence.coin_plain import Products as Products
from apograph.evidence.moments import Stored, alike, fast
from apograph.release.types import TensorInfo

_Key: TypeAlias = tuple[Part, Part]


@dataclass(slots=True)
class _Sums:
    """The products of one match (``evidence.stream.Sums``)."""

    axis: str
    width: int
    total: Products

    @property
    def label(self) -> str:
        return f"{self.axis} {self.width}"

    @property
    def lines(self) -> Lines:
        return Lines(self.width, self.axis == "columns")

    def piece(self, start: int, a: Stored, b: Stored) -> Products:
        a, b = alike(a, b)
        kernel = coin_plain
        if fast() and a.dtype != np.float64:
            from apograph.evidence import coin_fast as kernel  # type: ignore[no-redef]
        out = self.lines.room(start, len(a))
        kernel.products(a, b, start, *self.lines, out)
        return out

    def add(self, start: int, piece: Products) -> None:
        first = start // self.width if self.axis == "rows" else 0
        self.total[:, first : first + piece.shape[1]] += piece


class ProductFold:
    """Sums the matrices of ``modules`` (``evidence.stream.Summing``): a few numbers for each unit."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = tuple(modules)
        self._axes = {_key(s.match): s.axis for m in self.modules for s in m.slices}
        self._sums: dict[_Key, _Sums] = {}

    @property
    def matches(self) -> tuple[Match, ...]:
        """The matches that the fold has to see."""
        found = {_key(s.match): s.match for m in self.modules for s in m.slices}
        return tuple(found.values())

    def sums(self, match: Match, info_a: TensorInfo, info_b: TensorInfo) -> _Sums | None:
        """What sums a match; None for one that no module holds."""
        axis = self._axes.get(_key(match))
        shape = info_a.shape or ()
        if axis is None or len(shape) != 2:
            return None
        part = match.reference
        rows = (shape[0] if part.stop is None else part.stop) - part.start
        units = rows if axis == "rows" else shape[1]
        self._sums[_key(match)] = _Sums(axis, shape[1], np.zeros((3, units)))
        return self._sums[_key(match)]

    def finish(self) -> dict[Module, Products]:
        """The products of every module whose matrices were all seen."""
        return {
            m: _units(m, [self._of(s) for s in m.slices])
            for m in self.modules
            if all(_key(s.match) in self._sums for s in m.slices)
        }

    def _of(self, part: Slice) -> Products:
        return self._sums[_key(part.match)].total[:, part.start : part.stop]


def _key(match: Match) -> _Key:
    return match.reference, match.candidate


def _units(module: Module, parts: list[Products]) -> Products:
    """One column for each unit that flips together.

    V/O: a dimension of a key/value head with that dimension of every query head that uses it. Q/K: the planes
    of a rotary embedding are (i, i + d/2) in some code and (2i, 2i + 1) in other; the four dimensions
    2i, 2i + 1, 2i + d/2, 2i + 1 + d/2 are two whole planes in both, so they are taken as one unit.
    """
    if module.family == "mlp":
        return parts[0] + parts[1]
    narrow = parts[0].reshape(3, module.groups, module.units)
    wide = parts[1].reshape(3, module.groups, module.shared, module.units).sum(axis=2)
    both: Products = narrow + wide
    if module.family == "qk":
        both = both.reshape(3, module.groups, 2, module.units // 4, 2).sum(axis=(2, 4))
    return both.reshape(3, -1)
