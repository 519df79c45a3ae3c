"""Tensors of PyTorch files, also those that do not lie in C order in their storage."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Unexamined
from apograph.release.byte_file import ByteFile
from apograph.release.elements import Bytes, Values
from apograph.release.file_store import FileStore
from apograph.release.refuse import refuse
from apograph.release.types import TensorInfo

MAX_SPAN = 2 << 30


class TorchStore(FileStore):
    """A ``FileStore`` in which ``strides`` (in elements, by name) tell how some tensors lie. Such a tensor is
    read whole and the last one is kept; one that spans over 2 GiB of storage is refused."""

    def __init__(
        self,
        entries: Iterable[TensorInfo],
        files: Mapping[str, ByteFile],
        unexamined: Iterable[Unexamined],
        strides: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(entries, files, unexamined)
        self._strides = strides
        self._lock = threading.Lock()
        self._kept: tuple[str, Bytes] | None = None

    def block(self, name: str, start: int, stop: int) -> Values:
        """Values of the flat elements [start, stop); see ``TensorStore``."""
        if name not in self._strides:
            return super().block(name, start, stop)
        return self._type(name, start, stop).decode(self._gathered(name, start, stop).view(np.uint8))

    def raw(self, name: str, start: int, stop: int, out: Bytes | None = None) -> NDArray[np.unsignedinteger]:
        """Storage of the flat elements [start, stop); see ``TensorStore``."""
        if name not in self._strides:
            return super().raw(name, start, stop, out)
        return self._gathered(name, start, stop)

    def place(self, name: str) -> tuple[int, int] | None:
        """See ``FileStore``."""
        return None if name in self._strides else super().place(name)

    def _gathered(self, name: str, start: int, stop: int) -> NDArray[np.unsignedinteger]:
        kind = self._type(name, start, stop)
        info = self._infos[name]
        begin, end = info.start or 0, info.stop or 0
        if end - begin > MAX_SPAN:
            raise refuse("store.span", info.file, code=5, name=name, limit=MAX_SPAN)
        with self._lock:
            if self._kept is None or self._kept[0] != name:
                self._kept = (name, self._files[info.file].read(begin, end))
            storage = self._kept[1].view(f"<u{kind.size}")
        shape = info.shape or ()
        places = np.unravel_index(np.arange(start, stop), shape) if shape else ()
        at = np.zeros(stop - start, np.int64)
        for place, step in zip(places, self._strides[name], strict=True):
            at += place * step
        return storage[at]
