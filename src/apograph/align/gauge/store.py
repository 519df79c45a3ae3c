"""A candidate's tensors in the reference's gauge, under the reference's names and in its layout."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import Axis
from apograph.align.gauge.sketch import STEP, rows_of
from apograph.align.gauge.types import Gauge, Piece
from apograph.align.role_views import chosen, plain_shape, read, stored_shape
from apograph.findings import Unexamined
from apograph.release.elements import Bytes, Values
from apograph.release.tensor_store import TensorStore
from apograph.release.types import TensorInfo

Floats: TypeAlias = NDArray[Any]


class AlignedStore:
    """A ``TensorStore`` of the candidate's tensors that have a counterpart, carried over by a gauge.

    Tensors have the reference's names, shapes and layout (q/k/v joined where it joins them) and the
    candidate's types. A tensor is there only when all of it is carried over. Values are exactly the stored
    ones where the gauge changes only places and signs, float32 otherwise (computed in float64, but for a
    rotation of the stream). Memory: some lines of about ``STEP`` elements, and where a rotation mixes the
    lines of a matrix (down, o) that matrix twice.
    """

    def __init__(
        self,
        gauge: Gauge,
        reference: TensorStore,
        candidate: TensorStore,
        modules: Collection[int],
    ) -> None:
        """Of the pieces that belong to a module only those of ``modules``."""
        self._candidate = candidate
        self._pieces: dict[str, list[Piece]] = {}
        for piece in gauge.pieces:
            if piece.module is None or piece.module in modules:
                self._pieces.setdefault(piece.reference.name, []).append(piece)
        self._shapes = {name: reference.infos[name].shape or () for name in self._pieces}
        self._pieces = {n: p for n, p in self._pieces.items() if self._whole(n, p, reference)}
        self._infos = {
            name: _info(candidate.infos[self._pieces[name][0].candidate.name], name, self._shapes[name])
            for name in reference.infos
            if name in self._pieces
        }
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, int, int], Floats] | None = None

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @property
    def unexamined(self) -> tuple[Unexamined, ...]:
        return ()

    def exact(self, name: str) -> bool:
        """Whether every value of a tensor is a stored one, up to its sign."""
        return all(p.out.exact and p.into.exact for p in self._pieces[name])

    def sources(self, name: str) -> tuple[str, ...]:
        """The candidate's own tensors that one of the reference's is made of."""
        return tuple(dict.fromkeys(p.candidate.name for p in self._pieces[name]))

    def dtype(self, name: str) -> str:
        """How the candidate's tensor (the first of several) is stored."""
        return self._infos[name].dtype or ""

    def block(self, name: str, start: int, stop: int) -> Values:
        """Values of the flat elements [start, stop); see ``TensorStore``."""
        shape = self._shapes[name]
        if not 0 <= start <= stop <= math.prod(shape):
            raise IndexError(name)
        stacked = self._pieces[name][0].reference.item is not None
        width = plain_shape(shape[1:] if stacked else shape)[-1]
        found, at = np.empty(stop - start, np.float32), start
        while at < stop:
            first, lines = self._lines(name, at // width)
            flat = lines.reshape(-1)[at - first * width : stop - first * width]
            found[at - start : at - start + len(flat)] = flat
            at += len(flat)
        return found

    def raw(
        self, name: str, start: int, stop: int, out: Bytes | None = None
    ) -> NDArray[np.unsignedinteger] | None:
        """None for every tensor: values are computed."""
        return None

    def check(self) -> None:
        """Raise Refusal 2 when a file changed since it was opened."""
        self._candidate.check()

    def close(self) -> None:
        """Leave the candidate open: it is the caller's."""

    def _whole(self, name: str, pieces: list[Piece], reference: TensorStore) -> bool:
        """Whether the pieces cover every row of the reference's tensor."""
        if len(pieces) == 1 and pieces[0].reference == replace(
            pieces[0].reference, start=0, stop=None, period=0
        ):
            return pieces[0].reference.item is None
        seen: set[tuple[int | None, int]] = set()
        for piece in pieces:
            view = piece.reference
            shape = stored_shape(reference, view)
            total = shape[1] if view.turned and len(shape) > 1 else shape[0]
            seen |= {(view.item, int(n)) for n in chosen(view, total)}
        shape = self._shapes[name]
        turned, stacked = pieces[0].reference.turned, pieces[0].reference.item is not None
        inner = plain_shape(shape[1:] if stacked else shape)
        return len(seen) == inner[1 if turned else 0] * (shape[0] if stacked else 1)

    def _lines(self, name: str, line: int) -> tuple[int, Floats]:
        """Some lines of a tensor, as it is stored, among which is ``line``, and the first of them."""
        pieces, item = self._pieces[name], 0
        stacked = pieces[0].reference.item is not None
        count, width = plain_shape(self._shapes[name][1:] if stacked else self._shapes[name])
        if stacked:
            item, line = divmod(line, count)
            pieces = [p for p in pieces if p.reference.item == item]
        mixed = [m for p in pieces if (m := _axes(p)[0].mix) is not None]
        # A rotation makes every line of all lines: whole matrices are then made at once.
        high = count if any(len(m) == 1 for m in mixed) else max(STEP // width, 1)
        first = line // high * high
        with self._lock:
            key = name, item, first
            if self._kept is None or self._kept[0] != key:
                lines = np.zeros((min(first + high, count) - first, width), np.float32)
                with np.errstate(over="ignore"):  # becomes infinite, and is left out as such
                    for piece in pieces:
                        self._fill(lines, piece, first, count)
                self._kept = key, lines
            return item * count + first, self._kept[1]

    def _fill(self, lines: Floats, piece: Piece, first: int, count: int) -> None:
        """What a piece adds to some of ``count`` lines, from ``first``."""
        view, stop = piece.reference, first + len(lines)
        if view.turned:
            across = chosen(view, lines.shape[1])
            lines[:, across] = self._carried(piece, first, stop, len(across))
            return
        places = chosen(view, count)
        here = np.flatnonzero((places >= first) & (places < stop))
        if len(here):
            made = self._carried(piece, int(here[0]), int(here[-1]) + 1, lines.shape[1])
            lines[places[here] - first] = made

    def _carried(self, piece: Piece, first: int, stop: int, width: int) -> Floats:
        """Lines [first, stop) of a piece, laid out as the reference's, ``width`` long."""
        view, turned = piece.candidate, piece.reference.turned
        along, across = _axes(piece)
        size = 1 if along.mix is None or len(along.mix) == 1 else along.mix.shape[1]
        low, high = first // size * size, -(-stop // size) * size
        some, places = along.cut(low, high)
        if places is not None:
            lines = rows_of(self._candidate, view, places, int(turned))
            return np.asarray(some.first(across.last(lines)))[first - low : stop - low]
        whole = read(self._candidate, view)
        whole = whole.T if turned else whole
        size = 1 if across.mix is None else across.mix.shape[1]
        step = max(STEP // len(whole) // size, 1) * size
        made = np.empty((stop - first, width), np.float32)
        for low in range(0, width, step):  # by strips, so that nothing else is as large as the matrix
            part, columns = across.cut(low, min(low + step, width))
            strip = whole if columns is None else whole[:, np.maximum(columns, 0)]
            if columns is not None:
                strip[:, columns < 0] = 0
            made[:, low : low + step] = some.first(part.last(strip))
        return made


def _axes(piece: Piece) -> tuple[Axis, Axis]:
    """The maps of the reference's lines, as they are stored, and of what is along them."""
    return (piece.into, piece.out) if piece.reference.turned else (piece.out, piece.into)


def _info(info: TensorInfo, name: str, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name, shape, info.dtype, info.file)
