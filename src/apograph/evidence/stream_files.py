"""Both sides of a block read and summed in one compiled call, where both lie in files in one plain type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from apograph.align.tensors import Match
from apograph.evidence.moments import COLUMNS, SUB, Rows, Stored, fast, mend
from apograph.release.elements import Bytes
from apograph.release.file_store import FileStore
from apograph.release.tensor_store import TensorStore

KINDS: dict[str, np.dtype[Any]] = {"BF16": np.dtype(np.uint16), "F32": np.dtype(np.uint32)}


@dataclass(frozen=True, slots=True)
class FilePair:
    """Where the elements of a match lie: for either side a descriptor and the first byte."""

    files: tuple[tuple[int, int], tuple[int, int]]
    kind: np.dtype[Any]

    def read(self, start: int, stop: int, buffers: list[Bytes]) -> tuple[Stored, Stored, Rows] | None:
        """Elements [start, stop), in ``buffers``, and their rows (``moments.rows_of``); None where a file has
        become shorter."""
        from apograph.evidence.moments_fast import read_and_fill

        size, n = self.kind.itemsize, stop - start
        for side in (0, 1):
            if len(buffers[side]) < n * size:
                buffers[side] = np.empty(n * size, np.uint8)
        both = buffers[0][: n * size], buffers[1][: n * size]
        rows = np.zeros((-(-n // SUB), COLUMNS))
        (a, at_a), (b, at_b) = self.files
        places = (a, at_a + start * size), (b, at_b + start * size)
        doubtful = read_and_fill(places, both, self.kind, rows)
        if doubtful is None:
            return None
        x, y = (v.view(self.kind) for v in both)
        if doubtful:
            mend(x, y, rows)
        return x, y, rows


def file_pair(
    match: Match, stores: tuple[TensorStore, TensorStore], firsts: tuple[int, int]
) -> FilePair | None:
    """None where the elements, from ``firsts`` on, have to be had from the stores."""
    parts = match.reference, match.candidate
    kinds = {store.dtype(part.name) for store, part in zip(stores, parts, strict=True)}
    kind = KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if kind is None or match.transposed or not fast():
        return None
    places = []
    for store, part, first in zip(stores, parts, firsts, strict=True):
        place = store.place(part.name) if isinstance(store, FileStore) else None
        if place is None:
            return None
        places.append((place[0], place[1] + first * kind.itemsize))
    return FilePair((places[0], places[1]), kind)
