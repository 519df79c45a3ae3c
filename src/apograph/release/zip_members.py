"""The members of a zip file by position, read strictly, nothing extracted.

Two readers of one zip can be made to see different members; here everything that could differ (names, sizes
and flags of the local and the central headers, overlapping members) is compared and refused (APPNOTE 6.3.9,
sections 4.3 and 4.5.3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from apograph.findings import Refusal
from apograph.release.refuse import refuse

MAX_DIRECTORY = 32 << 20
MAX_MEMBERS = 100_000
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True, slots=True)
class Member:
    """A stored member's bytes are [start, start + size) of the file."""

    start: int
    size: int
    crc: int


def read_members(stream: BinaryIO, size: int, path: str = "") -> dict[str, Member]:
    """The members of a zip file of ``size`` bytes, by name.

    Raises Refusal 2 for a zip that is malformed, ambiguous, encrypted or compressed (weights are stored), or
    whose names lead out of it; 5 for more than 100,000 members.
    """
    reader = _Zip(stream, size, path)
    return reader.members()


class _Zip:
    def __init__(self, stream: BinaryIO, size: int, path: str) -> None:
        self._stream, self._size, self._path = stream, size, path

    def _refusal(self, what: str, offset: int | None = None) -> Refusal:
        return refuse("zip.malformed", self._path, offset, what=what)

    def _at(self, offset: int, n: int) -> bytes:
        if not 0 <= offset <= self._size - n:
            raise self._refusal("offset", offset)
        self._stream.seek(offset)
        return self._stream.read(n)

    def members(self) -> dict[str, Member]:
        count, length, offset = self._end()
        if count > MAX_MEMBERS or length > MAX_DIRECTORY:
            raise refuse("zip.many", self._path, code=5, limit=MAX_MEMBERS)
        directory = self._at(offset, length)
        found: dict[str, Member] = {}
        spans: list[tuple[int, int]] = [(offset, self._size)]
        at = 0
        for _ in range(count):
            if length - at < _CENTRAL.size:
                raise self._refusal("directory", offset + at)
            name, member, header, at = self._central(directory, at, offset)
            if name in found:
                raise self._refusal("name twice", offset + at)
            found[name] = member
            spans.append((header, member.start + member.size))
        if at != length:
            raise self._refusal("directory", offset + at)
        spans.sort()
        for (_, before), (start, _) in pairwise(spans):
            if start < before:
                raise self._refusal("overlap", start)
        return found

    def _end(self) -> tuple[int, int, int]:
        """Number of members, length and offset of the central directory."""
        tail = self._at(max(self._size - 65_557, 0), min(self._size, 65_557))
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise self._refusal("end")
        _, disk, start_disk, here, count, length, offset, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment != len(tail) or disk or start_disk or here != count:
            raise self._refusal("end")
        end = self._size - len(tail) + at
        if count == 0xFFFF or 0xFFFFFFFF in (length, offset):
            magic, _, where, _ = _LOCATOR.unpack(self._at(end - _LOCATOR.size, _LOCATOR.size))
            if magic != b"PK\x06\x07":
                raise self._refusal("end", end)
            magic, _, _, _, _, _, here, count, length, offset = _END_64.unpack(self._at(where, _END_64.size))
            if magic != b"PK\x06\x06" or here != count:
                raise self._refusal("end", where)
            end = where
        if offset + length > end:
            raise self._refusal("directory", offset)
        return count, length, offset

    def _central(self, directory: bytes, at: int, base: int) -> tuple[str, Member, int, int]:
        fields = _CENTRAL.unpack_from(directory, at)
        flags, method, crc, packed, size = fields[3], fields[4], *fields[7:10]
        lengths = fields[10:13]
        begin = at + _CENTRAL.size
        stop = begin + sum(lengths)
        if fields[0] != b"PK\x01\x02" or stop > len(directory):
            raise self._refusal("directory", base + at)
        raw = directory[begin : begin + lengths[0]]
        extra = directory[begin + lengths[0] : begin + lengths[0] + lengths[1]]
        size, packed, header = self._wide(extra, size, packed, fields[16])
        if flags & 0x2041 or method or size != packed:
            raise self._refusal("compressed or encrypted", base + at)
        name = self._name(raw)
        return name, self._local(header, raw, method, flags, (crc, size)), header, stop

    def _wide(self, extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
        """Sizes and offset, from the zip64 field where they do not fit into 32 bits."""
        at, values = 0, b""
        while at + 4 <= len(extra):
            kind, length = struct.unpack_from("<HH", extra, at)
            if kind == 1:
                values = extra[at + 4 : at + 4 + length]
            at += 4 + length
        wide = []
        for value in (size, packed, header):
            if value == 0xFFFFFFFF:
                if len(values) < 8:
                    raise self._refusal("zip64")
                value, values = int.from_bytes(values[:8], "little"), values[8:]
            wide.append(value)
        return wide[0], wide[1], wide[2]

    def _name(self, raw: bytes) -> str:
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._refusal("name") from None
        if not name or "\\" in name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
            raise self._refusal("name")
        return name

    def _local(self, header: int, raw: bytes, method: int, flags: int, known: tuple[int, int]) -> Member:
        fields = _LOCAL.unpack(self._at(header, _LOCAL.size))
        name_length, extra_length = fields[9], fields[10]
        same = fields[0] == b"PK\x03\x04" and fields[2] == flags and fields[3] == method
        if not same or self._at(header + _LOCAL.size, name_length) != raw:
            raise self._refusal("headers differ", header)
        crc, size = known
        if not flags & 8 and (fields[6] != crc or fields[8] not in (size, 0xFFFFFFFF)):
            raise self._refusal("headers differ", header)
        start = header + _LOCAL.size + name_length + extra_length
        if start + size > self._size:
            raise self._refusal("offset", header)
        return Member(start, size, crc)
