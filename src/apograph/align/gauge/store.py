"""A candidate's tensors in the reference's gauge, under the reference's names and in its layout."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
    ones where the gauge changes only places and signs; otherwise they were computed in float64 and rounded to
    float32. The last tensor read is kept in memory; where rows stay whole only those asked for are computed.
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
        self._kept: tuple[str, Floats] | None = None

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
        rows = self._by_rows(name)
        if rows is None:
            return np.asarray(self._all(name).reshape(-1)[start:stop])
        columns = plain_shape(shape)[1]
        first, last = start // columns, -(-stop // columns)
        with np.errstate(over="ignore"):  # becomes infinite, and is left out as such
            flat = np.asarray(self._some(rows, first, last), np.float32).reshape(-1)
        return flat[start - first * columns : stop - first * columns]

    def raw(
        self, name: str, start: int, stop: int, out: Bytes | None = None
    ) -> NDArray[np.unsignedinteger] | None:
        """None: values are computed."""
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

    def _by_rows(self, name: str) -> Piece | None:
        """The piece of a tensor whose rows can be carried over one by one."""
        pieces = self._pieces[name]
        simple = len(pieces) == 1 and pieces[0].out.mix is None and len(plain_shape(self._shapes[name])) == 2
        if not simple or any(v.turned or v.period or v.item is not None for v in _views(pieces[0])):
            return None
        return pieces[0]

    def _some(self, piece: Piece, first: int, last: int) -> Floats:
        view, out = piece.candidate, piece.out
        if out.before is not None:
            return self._carried(piece)[first:last]
        places = np.arange(first, last) if out.index is None else out.index[first:last]
        shape = stored_shape(self._candidate, view)
        rows = np.zeros((last - first, shape[1]), np.float32)
        # Runs of rows that stand one after the other are read at once.
        cuts = np.flatnonzero(np.diff(places) != 1) + 1
        for low, high in zip([0, *cuts], [*cuts, len(places)], strict=True):
            if places[low] >= 0:
                start = (view.start + int(places[low])) * shape[1]
                flat = self._candidate.block(view.name, start, start + (high - low) * shape[1])
                rows[low:high] = flat.reshape(high - low, shape[1])
        result = piece.into.last(rows)
        return result if out.after is None else result * out.after[first:last, None].astype(result.dtype)

    def _all(self, name: str) -> Floats:
        with self._lock:
            if self._kept is None or self._kept[0] != name:
                whole = np.zeros(self._shapes[name], np.float32)
                for piece in self._pieces[name]:
                    self._fill(whole, piece)
                self._kept = name, whole
            return self._kept[1]

    def _carried(self, piece: Piece) -> Floats:
        values = piece.into.last(read(self._candidate, piece.candidate))
        return np.asarray(piece.out.first(values), np.float32)

    def _fill(self, whole: Floats, piece: Piece) -> None:
        view = piece.reference
        target = whole if view.item is None else whole[view.item]
        target = target.reshape(plain_shape(target.shape))
        if view.turned:
            target = target.T
        target[chosen(view, len(target))] = self._carried(piece)


def _views(piece: Piece) -> tuple[Any, Any]:
    return piece.reference, piece.candidate


def _info(info: TensorInfo, name: str, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name, shape, info.dtype, info.file)
