"""Two files read and summed in one compiled call, step by step: what was read is summed before it leaves the
second cache, and threads do not wait for the interpreter's lock."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from apograph.evidence.coin_fast import add_step
from apograph.evidence.coin_plain import STEP, Lines, Products
from apograph.evidence.moments import SUB, Rows, Stored
from apograph.evidence.moments_fast import fill_rows
from apograph.evidence.numba_bits import compiled
from apograph.release.elements import Bytes

Place: TypeAlias = tuple[int, int]
"""A descriptor and the first byte to be read."""

_pread = types.ExternalFunction("pread", types.intp(types.int32, types.voidptr, types.intp, types.int64))


def read_and_sum(
    files: tuple[Place, Place],
    kind: np.dtype[Any],
    start: int,
    rows: Rows,
    lines: Lines | None,
    products: Products,
    n: int,
    buffers: list[Bytes],
) -> bool:
    """Fill ``rows`` (``moments.rows_of``) and, with ``lines``, add to ``products`` (``coin_plain.products``)
    from ``n`` elements of ``kind`` that begin at ``files``; the first is number ``start`` of its match. False
    where less could be read than that, or float32 does not certainly hold every sum. ``buffers`` of the two
    sides are made longer where they have to be."""
    room = min(n, STEP) * kind.itemsize
    buffers[:] = [own if len(own) >= room else np.empty(room, np.uint8) for own in buffers]
    width, columns = lines or (0, False)
    sides = [
        x
        for place, own in zip(files, buffers, strict=True)
        for x in (*place, own[:room], own[:room].view(kind))
    ]
    return bool(_read_and_sum(*sides, n, start, rows, width, columns, products))


@compiled
def _read_and_sum(
    file_a: int, at_a: int, bytes_a: Bytes, a: Stored, file_b: int, at_b: int, bytes_b: Bytes, b: Stored,
    n: int, start: int, rows: Rows, width: int, columns: bool, products: NDArray[np.float64],
) -> bool:  # fmt: skip
    size = a.itemsize
    for first in range(0, n, STEP):
        last = min(first + STEP, n)
        x, y = a[: last - first], b[: last - first]
        if not _read(file_a, at_a + first * size, bytes_a[: size * len(x)]):
            return False
        if not _read(file_b, at_b + first * size, bytes_b[: size * len(y)]):
            return False
        if fill_rows(x, y, 32 - 8 * size, rows[first // SUB : -(-last // SUB)]):
            return False
        if width:
            add_step(x, y, start + first, start // width, width, columns, products)
    return True


@compiled
def _read(file: int, at: int, into: Bytes) -> bool:
    done = 0
    while done < len(into):
        n = _pread(file, into[done:].ctypes, len(into) - done, at + done)
        if n <= 0:
            return False
        done += n
    return True
