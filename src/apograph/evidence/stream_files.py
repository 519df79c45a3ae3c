"""Both sides of a match where they lie in files in one plain type: they are read and summed in one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from apograph.align.tensors import Match
from apograph.evidence.coin_plain import Lines, Products
from apograph.evidence.moments import COLUMNS, SUB, Rows, fast
from apograph.release.elements import Bytes
from apograph.release.file_store import FileStore
from apograph.release.tensor_store import TensorStore

KINDS: dict[str, np.dtype[Any]] = {"BF16": np.dtype(np.uint16), "F32": np.dtype(np.uint32)}


@dataclass(frozen=True, slots=True)
class FilePair:
    """Where the elements of a match lie: for either side a descriptor and the first byte."""

    files: tuple[tuple[int, int], tuple[int, int]]
    kind: np.dtype[Any]

    def summed(
        self, start: int, stop: int, lines: Lines | None, buffers: list[Bytes]
    ) -> tuple[Rows, Products] | None:
        """The rows (``moments.rows_of``) of elements [start, stop), and the products of their ``lines``. None
        where the elements have to be had from the stores: a file has become shorter, or there are values that
        float32 cannot hold. ``buffers``: one a side, used again."""
        from apograph.evidence.stream_fast import read_and_sum

        n, size = stop - start, self.kind.itemsize
        rows = np.zeros((-(-n // SUB), COLUMNS))
        products = lines.room(start, n) if lines else np.zeros((3, 0))
        (a, at_a), (b, at_b) = self.files
        places = (a, at_a + start * size), (b, at_b + start * size)
        read = read_and_sum(places, self.kind, start, rows, lines, products, n, buffers)
        return (rows, products) if read else None


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
