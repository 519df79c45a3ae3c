"""Inner products of units: what the sign coins are thrown from, one fold of the common reading pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Module, Slice
from apograph.align.tensors import Match, Part
from apograph.evidence.moments import fast
from apograph.release.types import TensorInfo

Products: TypeAlias = NDArray[np.float64]
"""[3, units]: the inner product of each unit with its counterpart, and the squared length on either side."""
GROUP = 16
"""Rows that are summed at once for products of columns; whole groups are counted from the tensor's first row,
so that no result depends on the size of the blocks."""
_Key: TypeAlias = tuple[Part, Part, str]


@dataclass(slots=True)
class _Sum:
    axis: str
    width: int
    rows: int
    total: Products
    done: int = 0
    """Elements that are in ``total``; those seen after them wait for the rest of their rows."""
    rest: tuple[NDArray[Any], NDArray[Any]] = (np.empty(0, np.float32), np.empty(0, np.float32))

    def add(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        """The next elements: what completes the rows that wait, then whole rows; the rest waits."""
        step = self.width * (1 if self.axis == "rows" else GROUP)
        waiting = self.rest[0].size
        if waiting:
            first = min(step - waiting, a.size)
            joined = [np.concatenate([old, new[:first]]) for old, new in zip(self.rest, (a, b), strict=True)]
            self.rest = joined[0], joined[1]
            a, b = a[first:], b[first:]
            last = self.done + waiting + first == self.rows * self.width
            if waiting + first < step and not last:
                return
            self._sum(*self.rest)
        last = self.done + a.size == self.rows * self.width
        whole = a.size if last else a.size // step * step
        run = step if self.axis == "columns" else max(whole, 1)
        for start in range(0, whole, run):
            stop = min(start + run, whole)
            self._sum(a[start:stop], b[start:stop])
        self.rest = a[whole:].copy(), b[whole:].copy()

    def _sum(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        x, y = a.reshape(-1, self.width), b.reshape(-1, self.width)
        if self.axis == "rows":
            first = self.done // self.width
            _rows(x, y, self.total[:, first : first + len(x)])
        else:
            _columns(x, y, self.total)
        self.done += a.size


class ProductFold:
    """Sees the matrices of ``modules`` (``evidence.stream.Fold``); memory is a few numbers for each unit."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = tuple(modules)
        self._axes = {_key(s.match): s.axis for m in self.modules for s in m.slices}
        self._sums: dict[tuple[Part, Part], _Sum] = {}

    @property
    def matches(self) -> tuple[Match, ...]:
        """The matches that the fold has to see."""
        found = {_key(s.match): s.match for m in self.modules for s in m.slices}
        return tuple(found.values())

    def begin(self, match: Match, info_a: TensorInfo, info_b: TensorInfo) -> None:
        axis = self._axes.get(_key(match))
        shape = info_a.shape or ()
        if axis is not None and len(shape) == 2:
            rows = (
                shape[0] if match.reference.stop is None else match.reference.stop
            ) - match.reference.start
            units = rows if axis == "rows" else shape[1]
            self._sums[_key(match)] = _Sum(axis, shape[1], rows, np.zeros((3, units)))

    def see(self, match: Match, start: int, a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
        found = self._sums.get(_key(match))
        if found is not None:
            found.add(a, b)

    def finish(self) -> dict[Module, Products]:
        """The products of every module whose matrices were all seen."""
        return {
            m: _units(m, [self._of(s) for s in m.slices])
            for m in self.modules
            if all(_key(s.match) in self._sums for s in m.slices)
        }

    def _of(self, part: Slice) -> Products:
        return self._sums[_key(part.match)].total[:, part.start : part.stop]


def _rows(a: NDArray[Any], b: NDArray[Any], out: Products) -> None:
    if fast():
        from apograph.evidence import coin_fast

        coin_fast.rows(a, b, out)
    else:
        for n, (x, y) in enumerate(((a, b), (a, a), (b, b))):
            out[n] = np.einsum("ij,ij->i", x, y)


def _columns(a: NDArray[Any], b: NDArray[Any], out: Products) -> None:
    if fast():
        from apograph.evidence import coin_fast

        coin_fast.columns(a, b, out)
    else:
        for n, (x, y) in enumerate(((a, b), (a, a), (b, b))):
            out[n] += np.einsum("ij,ij->j", x, y)


def _key(match: Match) -> tuple[Part, Part]:
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
