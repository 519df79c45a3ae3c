"""The values behind a view: a matrix [out, in] or a vector [out], whatever the storage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import View
from apograph.release.elements import element_type
from apograph.release.file_store import FileStore
from apograph.release.tensor_store import TensorStore

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
STEP = 1 << 22
"""Elements that are read at once where only some of them are wanted."""
LARGEST = 1e6
"""Elements beyond are cut to it: products of two matrices, and sums of their squares, then stay in the
range of float32."""


def stored_shape(store: TensorStore, view: View) -> tuple[int, ...]:
    """Shape [rows, columns], or [length], of the stored tensor or of the one item of a stack, not turned.
    Raises KeyError for a tensor that the checkpoint lacks, ValueError for one whose shape is not known."""
    shape = store.infos[view.name].shape
    if shape is None:
        raise ValueError(view.name)
    return plain_shape(shape if view.item is None else shape[1:])


def plain_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """At most two axes: leading ones left away, the axes after the first joined."""
    axes = tuple(shape)
    while len(axes) > 2 and axes[0] == 1:
        axes = axes[1:]
    return axes if len(axes) < 2 else (axes[0], math.prod(axes[1:]))


def view_shape(store: TensorStore, view: View) -> tuple[int, ...]:
    """[out, in] or [out]. Raises as ``stored_shape``."""
    shape = stored_shape(store, view)
    long = len(shape) > 1
    total = shape[1] if view.turned and long else shape[0] if shape else 1
    out = len(chosen(view, total))
    return (out, shape[0] if view.turned else shape[1]) if long else (out,)


def chosen(view: View, total: int) -> NDArray[np.int64]:
    """The places along the output axis, of length ``total``, that belong to the view, in order."""
    stop = total if view.stop is None else min(view.stop, total)
    places = np.arange(view.start, stop, dtype=np.int64)
    return places[(places - view.start) % view.period < view.width] if view.period else places


def evenly(n: int, most: int) -> Places:
    """At most ``most`` evenly spaced ones of ``n`` places."""
    return np.arange(n) if n <= most else np.arange(most) * n // most


def bounded(values: NDArray[Any], largest: float = LARGEST) -> NDArray[Any]:
    """Values that sums and decompositions can take: 0 for those that are not finite, others cut to
    ``largest``. The same array where nothing is to be done."""
    if not values.size or (values.max() <= largest and values.min() >= -largest):  # false for NaN
        return values
    made: NDArray[Any] = np.where(
        np.isfinite(values), np.clip(values, -largest, largest), values.dtype.type(0)
    )
    return made


def read(store: TensorStore, view: View) -> Floats:
    """Values of the view as float32, ``bounded``: [out, in], or [out]. Reads only the rows that it spans, or
    the whole tensor where it is turned. Raises as ``stored_shape``, and Refusal where the values cannot be
    had."""
    shape = stored_shape(store, view)
    if not shape:
        return bounded(store.block(view.name, 0, 1)).astype(np.float32)
    columns = shape[1] if len(shape) > 1 else 1
    offset = 0 if view.item is None else view.item * shape[0] * columns
    turned = view.turned and len(shape) > 1
    places = chosen(view, columns if turned else shape[0])
    if not len(places):
        return np.zeros((0, shape[0] if turned else columns) if len(shape) > 1 else 0, np.float32)
    first, stop = (0, shape[0]) if turned else (int(places[0]), int(places[-1]) + 1)
    flat = store.block(view.name, offset + first * columns, offset + stop * columns)
    matrix = bounded(flat).astype(np.float32, copy=False).reshape(stop - first, columns)
    taken = matrix.T[places] if turned else matrix[places - first]
    return np.ascontiguousarray(taken if len(shape) > 1 else taken[:, 0])


def part(store: TensorStore, view: View, rows: Places | None = None, columns: Places | None = None) -> Floats:
    """Some rows and columns (rising places; None: all) of a view of a matrix [out, in], as ``read`` gives
    them, without decoding the others; rows far apart are read one by one. Raises as ``read``."""
    shape = stored_shape(store, view)
    kind = element_type(store.dtype(view.name))
    out = chosen(view, 1 if not shape else shape[-1] if view.turned else shape[0])
    if len(shape) < 2 or kind is None or kind.elements > 1 or store.raw(view.name, 0, 0) is None:
        if rows is not None and len(rows) and not view.turned:  # only the rows that these span
            first, stop = int(out[rows[0]]), int(out[rows[-1]]) + 1
            whole = read(store, replace(view, start=first, stop=stop, period=0))[out[rows] - first]
        else:
            whole = read(store, view)
            whole = whole if rows is None else whole[rows]
        return np.ascontiguousarray(whole if columns is None else whole[:, columns])
    out = out if rows is None else out[rows]
    into = np.arange(shape[0] if view.turned else shape[1]) if columns is None else columns
    lines, across = (into, out) if view.turned else (out, into)
    offset = 0 if view.item is None else view.item * shape[0] * shape[1]
    found = [_taken(block, across, 1) for block in _lines(store, view.name, shape[1], offset, lines)]
    found = found or [np.zeros((0, len(across)), np.uint16)]
    taken = found[0] if len(found) == 1 else np.concatenate(found)  # most are one block: no copy
    values = kind.decode(np.ascontiguousarray(taken).reshape(-1).view(np.uint8)) if taken.size else taken
    matrix = bounded(values).astype(np.float32, copy=False).reshape(taken.shape)
    return np.ascontiguousarray(matrix.T if view.turned else matrix)


def _lines(
    store: TensorStore, name: str, width: int, offset: int, lines: Places
) -> Iterator[NDArray[np.unsignedinteger]]:
    """The storage of some lines of ``width`` elements, the first of which begins at ``offset``, block by
    block."""
    most = max(STEP // width, 1)
    heads = lines[np.diff(lines, prepend=-2) > 1]
    length = len(lines) // max(len(heads), 1)
    even = np.array_equal(lines, (heads[:, None] + np.arange(length)).reshape(-1)) and length <= most
    if even and len(heads) > 1 and isinstance(store, FileStore) and store.place(name) is not None:
        for at in range(0, len(heads), most // length):
            starts = offset + heads[at : at + most // length] * width
            yield store.runs(name, starts.tolist(), length * width).reshape(-1, width)
        return
    for some in _runs(lines, most):
        first, stop = (offset + int(n) * width for n in (some[0], some[-1] + 1))
        raw = store.raw(name, first, stop)
        assert raw is not None
        yield _taken(raw.reshape(-1, width), some - some[0], 0)


def _taken(values: NDArray[Any], places: Places, axis: int) -> NDArray[Any]:
    """Some lines; those that stand one after the other without a copy."""
    if not len(places) or places[-1] - places[0] + 1 > len(places):
        return np.take(values, places, axis=axis)
    run = slice(int(places[0]), int(places[-1]) + 1)
    return values[run] if axis == 0 else values[:, run]


def _runs(lines: Places, most: int) -> list[Places]:
    """Lines that are read at once: at most ``most`` and at least every second of those in between."""
    cuts = np.flatnonzero(np.diff(lines) > 2) + 1
    return [
        run[at : at + most] for run in np.split(lines, cuts) if len(run) for at in range(0, len(run), most)
    ]
