"""Tables over the residual stream: embeddings, positions, patches; rows of them as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.sketch import STEP, rows_of
from apograph.align.role_views import Floats, evenly, read, view_shape
from apograph.align.roles import Tower, View
from apograph.release.tensor_store import TensorStore

Index: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """``count`` rows of ``width`` channels: those of a view, read when they are asked for, or an array."""

    count: int
    width: int
    source: tuple[TensorStore, View] | Floats

    def rows(self, places: Index) -> Floats:
        """[places, width]. Raises as ``read``."""
        if not isinstance(self.source, tuple):
            return self.source[places]
        made = np.empty((len(places), self.width), np.float32)
        high = max(STEP // self.width, 1)
        for first in range(0, len(places), high):
            made[first : first + high] = rows_of(*self.source, places[first : first + high])
        return made

    def blocks(self, places: Index | None = None) -> Iterator[Index]:
        """The places [n], or all, in parts whose rows have about ``STEP`` elements each."""
        places = np.arange(self.count) if places is None else places
        high = max(STEP // self.width, 1)
        for first in range(0, len(places), high):
            yield places[first : first + high]

    def mean(self, most: int | None = None) -> NDArray[np.float64]:
        """[width], of ``most`` evenly spaced rows, or of all."""
        places = np.arange(self.count) if most is None else evenly(self.count, most)
        total = np.zeros(self.width)
        for some in self.blocks(places):
            total += self.rows(some).sum(axis=0)
        return total / len(places)


def table_of(store: TensorStore, tower: Tower) -> tuple[Table | None, bool]:
    """The embeddings, else position and patch tables one below the other; whether rows are a vocabulary."""
    if tower.embedding is not None:
        count, width = view_shape(store, tower.embedding)
        return Table(count, width, (store, tower.embedding)), True
    found = []
    for view in (v for v in (tower.positions, *tower.other) if v is not None):
        values = read(store, view)
        if values.ndim == 2 and tower.width in values.shape:
            found.append(values if values.shape[1] == tower.width else np.ascontiguousarray(values.T))
    if not found:
        return None, False
    whole = np.concatenate(found)
    return Table(len(whole), tower.width, whole), False
