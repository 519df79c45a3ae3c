"""Names and texts in CPython bytecode (``__pycache__/*.pyc``), read without ``marshal``, never run.

``marshal.loads`` is documented as unsafe on untrusted data. The format is small (CPython, Python/marshal.c):
a type byte, whose highest bit enters the object into a table of references, and its content.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TypeAlias

from apograph.findings import Refusal
from apograph.release.refuse import refuse

MAX_DEPTH = 100
MAX_OBJECTS = 1_000_000
# Final magic number of each version below 3.14, from CPython's list in importlib; a version's numbers lie
# above those of the one before.
_VERSIONS = (
    (3379, "3.6"), (3394, "3.7"), (3413, "3.8"), (3425, "3.9"), (3439, "3.10"), (3495, "3.11"),
    (3531, "3.12"), (3571, "3.13"),
)  # fmt: skip
_FIRST = 3360
_FIXED = {"0": 0, "N": 0, "F": 0, "T": 0, "S": 0, ".": 0, "i": 4, "I": 8, "g": 8, "y": 16}
_STRINGS = {"s": 4, "u": 4, "t": 4, "a": 4, "A": 4, "z": 1, "Z": 1}
_SEQUENCES = {"(": 4, "[": 4, "<": 4, ">": 4, ")": 1}


@dataclass(frozen=True, slots=True)
class Bytecode:
    """``magic`` number and the version it means; the source's time (seconds since 1970) and size in bytes as
    recorded, None when a hash is recorded instead; file names, names of every kind and string constants, each
    once, in order of appearance."""

    magic: int
    python_version: str
    source_mtime: int | None
    source_size: int | None
    filenames: tuple[str, ...]
    names: tuple[str, ...]
    strings: tuple[str, ...]


def read_bytecode(data: bytes, path: str = "") -> Bytecode:
    """What a .pyc file of CPython 3.6 to 3.13 names.

    Raises Refusal 2 for anything else or a malformed one, 5 beyond a million objects.
    """
    magic = int.from_bytes(data[:2], "little")
    version = next((v for last, v in _VERSIONS if magic <= last), None)
    if len(data) < 16 or data[2:4] != b"\r\n" or magic < _FIRST or version is None:
        raise refuse("bytecode.magic", path, 0, magic=magic)
    old_header = version == "3.6"
    flags = 0 if old_header else int.from_bytes(data[4:8], "little")
    at = 4 if old_header else 8
    mtime, size = struct.unpack_from("<II", data, at)
    walker = _Walker(data, at + 8, version, path)
    if not isinstance(walker.object(0), _Code):
        raise refuse("bytecode.malformed", path, at + 8, what="code")
    hashed = bool(flags & 1)
    return Bytecode(
        magic,
        version,
        None if hashed else mtime,
        None if hashed else size,
        tuple(walker.filenames),
        tuple(walker.names),
        tuple(walker.strings),
    )


@dataclass(frozen=True, slots=True)
class _Code:
    """Stands for a code object that was read."""


@dataclass(slots=True)
class _Items:
    """A tuple, list or set; filled after it was entered into the table of references."""

    items: list[_Object] = field(default_factory=list)


_Object: TypeAlias = str | _Items | _Code | None


class _Walker:
    def __init__(self, data: bytes, at: int, version: str, path: str) -> None:
        self._data = data
        self._at = at
        self._minor = int(version.split(".")[1])
        self._path = path
        self._budget = MAX_OBJECTS
        self._references: list[_Object] = []
        self.filenames: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self.strings: dict[str, None] = {}

    def _refusal(self, what: str) -> Refusal:
        return refuse("bytecode.malformed", self._path, self._at, what=what)

    def _take(self, n: int) -> bytes:
        if n < 0 or n > len(self._data) - self._at:
            raise refuse("bytecode.short", self._path, self._at)
        self._at += n
        return self._data[self._at - n : self._at]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little", signed=size == 4)

    def _spend(self, n: int) -> None:
        self._budget -= n
        if self._budget < 0:
            raise refuse("bytecode.items", self._path, self._at, code=5, limit=MAX_OBJECTS)

    def object(self, depth: int) -> _Object:
        """The next object; strings as such, containers as _Items, other kinds as None."""
        if depth > MAX_DEPTH:
            raise refuse("bytecode.depth", self._path, self._at, limit=MAX_DEPTH)
        self._spend(1)
        mark = self._number(1)
        kind = chr(mark & 0x7F)
        if kind == "r":
            index = self._number(4)
            if not 0 <= index < len(self._references):
                raise self._refusal("reference")
            return self._references[index]
        slot = len(self._references) if mark & 0x80 else None
        found: _Object = _Items() if kind in _SEQUENCES or kind == "{" else None
        if slot is not None:
            self._references.append(found)
        if isinstance(found, _Items):
            self._fill(found, kind, depth)
        else:
            found = self._leaf(kind, depth)
            if slot is not None:
                self._references[slot] = found
        return found

    def _leaf(self, kind: str, depth: int) -> _Object:
        if kind in _FIXED:
            self._take(_FIXED[kind])
        elif kind in _STRINGS:
            text = self._take(self._number(_STRINGS[kind]))
            # Bytes constants (instructions among them) are not text.
            return None if kind == "s" else self._text(text, "utf-8" if kind in "ut" else "latin-1")
        elif kind == "l":
            self._take(2 * abs(self._number(4)))
        elif kind in "fx":
            for _ in range(1 if kind == "f" else 2):
                self._take(self._number(1))
        elif kind == "c":
            self._code(depth)
            return _Code()
        else:
            raise self._refusal("type")
        return None

    def _text(self, data: bytes, encoding: str) -> str:
        """A string; lone surrogates, which Python source may hold, become their escapes."""
        try:
            text = data.decode(encoding, "surrogatepass")
        except UnicodeDecodeError:
            raise self._refusal("text") from None
        return text.encode("utf-8", "backslashreplace").decode()

    def _fill(self, into: _Items, kind: str, depth: int) -> None:
        if kind == "{":
            while self._data[self._at : self._at + 1] != b"0":
                into.items += [self.object(depth + 1), self.object(depth + 1)]
            self._at += 1
            return
        count = self._number(_SEQUENCES[kind])
        if not 0 <= count <= len(self._data) - self._at:
            raise refuse("bytecode.short", self._path, self._at)
        for _ in range(count):
            into.items.append(self.object(depth + 1))

    def _code(self, depth: int) -> None:
        """A code object: its numbers, then its fields in the order of the version (marshal.c, TYPE_CODE)."""
        self._take(4 * (6 if 8 <= self._minor <= 10 else 5))
        self.object(depth + 1)  # the instructions
        constants = self.object(depth + 1)
        modern = self._minor >= 11
        groups = [self.object(depth + 1) for _ in range(2 if modern else 4)]
        if modern:
            self.object(depth + 1)  # the kinds of the local variables
        filename = self.object(depth + 1)
        groups += [self.object(depth + 1) for _ in range(2 if modern else 1)]
        self._take(4)
        for _ in range(2 if modern else 1):
            self.object(depth + 1)  # line and exception tables
        if not isinstance(filename, str):
            raise self._refusal("file name")
        self.filenames[filename] = None
        for group in groups:
            self._collect(group, self.names, 0)
        self._collect(constants, self.strings, 0)

    def _collect(self, found: _Object, into: dict[str, None], depth: int) -> None:
        """Strings in ``found`` and its nested tuples. Shared tuples count each time, against the budget."""
        self._spend(1)
        if isinstance(found, str):
            into[found] = None
        elif isinstance(found, _Items):
            if depth > MAX_DEPTH:
                raise self._refusal("cycle")
            for item in found.items:
                self._collect(item, into, depth + 1)
