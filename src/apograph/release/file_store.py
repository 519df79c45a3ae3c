"""Tensors that lie in files as whole blocks of their type: safetensors, GGUF, contiguous PyTorch storages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Unexamined
from apograph.release.byte_file import ByteFile
from apograph.release.elements import Bytes, ElementType, Values, element_type
from apograph.release.refuse import refuse
from apograph.release.safetensors_header import element_count
from apograph.release.types import TensorInfo


class FileStore:
    """A ``TensorStore`` (see ``tensor_store``) over ``files``, keyed as ``TensorInfo.file``.

    Tensors whose values are not read stay in ``infos`` and can be had ``raw``; ``unexamined`` names them.
    """

    def __init__(
        self,
        entries: Iterable[TensorInfo],
        files: Mapping[str, ByteFile],
        unexamined: Iterable[Unexamined] = (),
    ) -> None:
        self._files = files
        self._unexamined = list(unexamined)
        self._infos: dict[str, TensorInfo] = {}
        for info in entries:
            if info.file in files and info.shape is not None and info.start is not None:
                self._infos[info.name] = info
                if element_type(info.dtype or "") is None:
                    self._unexamined.append(not_read(info))

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @property
    def unexamined(self) -> tuple[Unexamined, ...]:
        return tuple(self._unexamined)

    def dtype(self, name: str) -> str:
        """The storage type as its header spells it."""
        return self._infos[name].dtype or ""

    def block(self, name: str, start: int, stop: int) -> Values:
        """Values of the flat elements [start, stop); see ``TensorStore``."""
        kind = self._type(name, start, stop)
        first = start // kind.elements
        data = self._bytes(name, kind, first, -(-stop // kind.elements))
        offset = first * kind.elements
        return kind.decode(data)[start - offset : stop - offset]

    def raw(self, name: str, start: int, stop: int, out: Bytes | None = None) -> NDArray[np.unsignedinteger]:
        """Storage of the flat elements [start, stop); see ``TensorStore``."""
        kind = self._type(name, start, stop)
        if kind.elements > 1:
            first, last = start // kind.elements, -(-stop // kind.elements)
            return self._bytes(name, kind, first, last, out).reshape(-1, kind.size)
        return self._bytes(name, kind, start, stop, out).view(f"<u{kind.size}")

    def runs(self, name: str, starts: Sequence[int], length: int) -> NDArray[np.unsignedinteger]:
        """Storage [len(starts), length] of ``length`` elements from each of ``starts`` (rising): many short
        reads. For types whose elements stand alone; raises as ``block``."""
        kind = self._type(name, starts[0], starts[-1] + length)
        info = self._infos[name]
        origin = info.start or 0
        places = [origin + start * kind.size for start in starts]
        found = self._files[info.file].read_runs(places, length * kind.size)
        return found.view(f"<u{kind.size}").reshape(len(starts), length)

    def place(self, name: str) -> tuple[int, int] | None:
        """The descriptor and first byte of a tensor whose elements lie one after the other in its file."""
        info = self._infos[name]
        if info.start is None or info.stop is None:
            return None
        return self._files[info.file].place(info.start, info.stop)

    def check(self) -> None:
        """Raise Refusal 2 when a file changed since it was opened."""
        for file in self._files.values():
            file.check()

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()

    def _type(self, name: str, start: int, stop: int) -> ElementType:
        info = self._infos[name]
        kind = element_type(info.dtype or "")
        if kind is None:
            raise refuse("store.dtype", info.file, name=name, dtype=info.dtype or "")
        if not 0 <= start <= stop <= (element_count(info.shape or ()) or 0):
            raise IndexError(f"elements {start} to {stop} of {name}")
        return kind

    def _bytes(self, name: str, kind: ElementType, first: int, last: int, out: Bytes | None = None) -> Bytes:
        """The bytes of blocks [first, last)."""
        info = self._infos[name]
        origin = info.start or 0
        return self._files[info.file].read(origin + first * kind.size, origin + last * kind.size, out)


def not_read(info: TensorInfo) -> Unexamined:
    """The gap that a type without values leaves."""
    message = refuse("store.dtype", name=info.name, dtype=info.dtype or "").message
    return Unexamined("weights", message, path=info.file, fault=True)
