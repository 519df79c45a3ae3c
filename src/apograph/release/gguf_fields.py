"""The little-endian fields of a GGUF file, each read only after its length was found to fit into the file.

gguf-py's own reader loops without end on an array that claims 10^12 elements; here every count is held
against the bytes that are left before anything is read or allocated.
"""

from __future__ import annotations

import math
import struct
from typing import BinaryIO

from apograph.findings import Json, Refusal
from apograph.release.refuse import refuse

MAX_DEPTH = 4
MAX_ELEMENTS = 2_000_000
MAX_STRING = 16 << 20
MAX_METADATA = 256 << 20

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
UINT32 = 4
# The least bytes that one value of a type takes.
_LEAST = {kind: struct.calcsize("<" + code) for kind, code in _SCALARS.items()} | {_STRING: 8, _ARRAY: 12}


class Fields:
    """A bounded reader of ``stream``, which holds ``size`` bytes and stands at its start."""

    def __init__(self, stream: BinaryIO, size: int, path: str) -> None:
        self._stream = stream
        self._size = size
        self._path = path
        self._elements = 0
        self.position = 0

    def refusal(self, key: str, *, code: int = 2, **params: str | int) -> Refusal:
        """The refusal ``readers.gguf.<key>`` at the present offset."""
        return refuse(f"gguf.{key}", self._path, self.position, code=code, **params)

    def need(self, count: int, least: int) -> None:
        """Refuse unless ``count`` things of at least ``least`` bytes each can still follow."""
        if count * least > self._size - self.position:
            raise self.refusal("count", count=count, left=self._size - self.position)

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes."""
        self.need(n, 1)
        if self.position + n > MAX_METADATA:
            raise self.refusal("metadata-size", code=5, limit=MAX_METADATA)
        data = self._stream.read(n)
        if len(data) < n:
            raise self.refusal("count", count=n, left=len(data))
        self.position += n
        return data

    def u32(self) -> int:
        """An unsigned integer of four bytes."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """An unsigned integer of eight bytes."""
        return int.from_bytes(self.take(8), "little")

    def string(self, limit: int = MAX_STRING) -> str:
        """A length of eight bytes and as many bytes of UTF-8."""
        length = self.u64()
        self.need(length, 1)
        if length > limit:
            raise self.refusal("string", code=5, length=length, limit=limit)
        at = self.position
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise refuse("gguf.encoding", self._path, at + error.start) from None

    def value(self, kind: int, depth: int = 0) -> Json:
        """A value of type ``kind``. Numbers that JSON lacks (NaN, infinities) become their names."""
        if kind == _STRING:
            return self.string()
        if kind in _SCALARS:
            return self._numbers(kind, 1)[0]
        if kind != _ARRAY:
            raise self.refusal("kind", kind=kind)
        if depth == MAX_DEPTH:
            raise self.refusal("depth", limit=MAX_DEPTH)
        inner, count = self.u32(), self.u64()
        if inner not in _LEAST:
            raise self.refusal("kind", kind=inner)
        self.need(count, _LEAST[inner])
        self._elements += count
        if self._elements > MAX_ELEMENTS:
            raise self.refusal("elements", code=5, limit=MAX_ELEMENTS)
        if inner in _SCALARS:
            return self._numbers(inner, count)
        return [self.value(inner, depth + 1) for _ in range(count)]

    def _numbers(self, kind: int, count: int) -> list[Json]:
        data = self.take(count * _LEAST[kind])
        values: list[Json] = list(struct.unpack(f"<{count}{_SCALARS[kind]}", data))
        if kind in (6, 12):
            return [v if isinstance(v, float) and math.isfinite(v) else str(v) for v in values]
        return values
