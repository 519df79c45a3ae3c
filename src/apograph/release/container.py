"""The archive's container: a plain zip of few features, written deterministically and read strictly.

Members stand back to back, stored or deflated, with one fixed date; ``manifest.json``, the last, lists size
and SHA-256 of every other member and carries a digest of itself. The reader accepts nothing else, unpacks
nothing to disk and inflates no member beyond its listed size.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from apograph.findings import Json, Message, Refusal
from apograph.release.json_text import parse_json

FORMAT = "apograph-archive"
VERSION = 1
MANIFEST = "manifest.json"
MAX_MEMBERS = 500_000
MAX_MEMBER = 64 << 20
MAX_TOGETHER = 4 << 30
"""Inflated bytes of all members but weights, which are stored and read in parts."""
WEIGHTS = "weights/"
_END = 22
"""Bytes of the end record when it carries no comment: it closes the file."""
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the manifest lists it."""

    size: int
    sha256: str


class Writer:
    """Writes a container beside ``path``; it appears there, complete, when ``finish`` returns."""

    def __init__(self, path: str) -> None:
        """Raises Refusal 4 when nothing can be written there."""
        self._path = path
        self._temporary = f"{path}.{os.getpid()}.part"
        try:
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._file = open(self._temporary, "xb")  # noqa: SIM115 - closed by finish or abandon
        except OSError as error:
            raise Refusal(4, Message("cli.error.output", {"reason": error.strerror or ""}), path) from None
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        self._members: dict[str, Json] = {}

    def add(self, name: str, data: bytes) -> None:
        """A deflated member."""
        self._write(name, (data,), zipfile.ZIP_DEFLATED)

    def add_weights(self, name: str, parts: Iterable[bytes]) -> None:
        """A stored member, written part by part."""
        self._write(name, parts, zipfile.ZIP_STORED)

    def finish(self, manifest: Mapping[str, Json]) -> str:
        """Write the manifest, flush everything to disk and rename. Returns the archive's digest (hex)."""
        whole: dict[str, Json] = {
            **manifest,
            "format": FORMAT,
            "version": VERSION,
            "members": dict(sorted(self._members.items())),
        }
        whole["digest"] = manifest_digest(whole)
        info = zipfile.ZipInfo(MANIFEST, _DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        self._zip.writestr(info, to_bytes(whole))
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self._path)
        folder = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return str(whole["digest"])

    def abandon(self) -> None:
        """Remove what was written, if it was not finished."""
        if self._file.closed:
            return
        with suppress(OSError, ValueError):
            self._zip.close()
        self._file.close()
        os.unlink(self._temporary)

    def _write(self, name: str, parts: Iterable[bytes], how: int) -> None:
        info = zipfile.ZipInfo(name, _DATE)
        info.compress_type = how
        total, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=how == zipfile.ZIP_STORED) as member:
            for data in parts:
                member.write(data)
                total.update(data)
                size += len(data)
        self._members[name] = {"size": size, "sha256": total.hexdigest()}


def to_bytes(value: Any) -> bytes:
    """JSON in the one form that archives use: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def manifest_digest(manifest: Mapping[str, Json]) -> str:
    """SHA-256 (hex) of the manifest without its own digest: with the members' digests, of everything."""
    return hashlib.sha256(to_bytes({k: v for k, v in manifest.items() if k != "digest"})).hexdigest()


class Container:
    """A container opened for reading. Raises Refusal 2, naming the member, for anything unlike what
    ``Writer`` makes, 3 for a zip of another kind, 5 beyond a bound."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115 - kept open with the source
        self._size = os.fstat(self._file.fileno()).st_size
        try:
            with zipfile.ZipFile(self._file) as archive:
                listed = archive.infolist()
                directory = archive.start_dir
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error):
            raise Refusal(2, Message("release.archive.zip"), path) from None
        if len(listed) > MAX_MEMBERS:
            raise Refusal(5, Message("release.archive.many", {"limit": MAX_MEMBERS}), path)
        if MANIFEST not in {info.filename for info in listed}:
            raise Refusal(3, Message("release.nothing"), path)
        self._file = open(path, "rb")  # noqa: SIM115 - ZipFile closed the first
        self._places = self._check_layout(listed, directory)
        manifest = parse_json(self._inflate(MANIFEST, MAX_MEMBER), MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise Refusal(3, Message("release.nothing"), path)
        if manifest.get("version") != VERSION:
            raise Refusal(2, Message("release.archive.version"), path)
        if manifest.get("digest") != manifest_digest(manifest):
            raise self._tampered(MANIFEST)
        self.manifest: dict[str, Json] = manifest
        self.members = self._listed_members(manifest.get("members"))
        self._verify()

    def read(self, name: str) -> bytes:
        """A member's content, checked. Raises Refusal 2 when it is not what the manifest says."""
        member = self.members[name]
        data = self._inflate(name, member.size)
        if len(data) != member.size or hashlib.sha256(data).hexdigest() != member.sha256:
            raise self._tampered(name)
        return data

    def stream(self, name: str) -> tuple[BinaryIO, int]:
        """A stored member as a stream; its digest is checked by whoever reads it whole."""
        place = self._places[name]
        if place.compress_type != zipfile.ZIP_STORED or place.file_size != self.members[name].size:
            raise self._tampered(name)
        return io.BufferedReader(Window(self._path, place.header_offset, place.file_size)), place.file_size

    def check(self, name: str) -> None:
        """Read a member once. Raises Refusal 2 when it is not what the archive says of it."""
        stream, _ = self.stream(name)
        with stream:
            digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
            if digest.hexdigest() != self.members[name].sha256:
                raise self._tampered(name)

    def _check_layout(self, listed: list[zipfile.ZipInfo], directory: int) -> dict[str, zipfile.ZipInfo]:
        """Members back to back from the first byte to the directory, each under one name, and nothing after;
        ``header_offset`` then points at the data."""
        places: dict[str, zipfile.ZipInfo] = {}
        position = 0
        for info in sorted(listed, key=lambda info: info.header_offset):
            if info.header_offset != position:
                raise self._tampered(info.filename)
            self._file.seek(position)
            local = self._file.read(30)
            if len(local) != 30 or not local.startswith(b"PK\x03\x04"):
                raise self._tampered(info.filename)
            name, extra = struct.unpack("<HH", local[26:30])
            same = self._file.read(name) == info.orig_filename.encode("ascii", "replace")
            simple = info.flag_bits == 0 and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not same or not simple or info.filename in places:
                raise self._tampered(info.filename)
            info.header_offset = position + 30 + name + extra
            position = info.header_offset + info.compress_size
            if position > self._size:
                raise self._tampered(info.filename)
            places[info.filename] = info
        self._file.seek(-_END, os.SEEK_END)
        if position != directory or not self._file.read(4).startswith(b"PK\x05\x06"):
            raise self._tampered(MANIFEST)
        return places

    def _listed_members(self, listed: Json) -> dict[str, Member]:
        members: dict[str, Member] = {}
        for name, entry in listed.items() if isinstance(listed, dict) else ():
            size = entry.get("size") if isinstance(entry, dict) else None
            if type(size) is not int or size < 0 or name not in self._places:
                raise self._tampered(name)
            members[name] = Member(size, str(entry.get("sha256")))
        for name in self._places:
            if name != MANIFEST and name not in members:
                raise self._tampered(name)
        return members

    def _verify(self) -> None:
        """Every member but weights is read once; beyond the bounds nothing is."""
        kept = {name: member for name, member in self.members.items() if not name.startswith(WEIGHTS)}
        largest = max((member.size for member in kept.values()), default=0)
        if largest > MAX_MEMBER or sum(member.size for member in kept.values()) > MAX_TOGETHER:
            raise Refusal(5, Message("release.archive.large", {"limit": MAX_TOGETHER}), self._path)
        for name in kept:
            self.read(name)

    def _inflate(self, name: str, limit: int) -> bytes:
        place = self._places[name]
        if place.compress_size > limit + (limit >> 3) + 1024:
            raise self._tampered(name)
        self._file.seek(place.header_offset)
        data = self._file.read(place.compress_size)
        if place.compress_type == zipfile.ZIP_STORED:
            return data
        inflater = zlib.decompressobj(-15)
        try:
            whole = inflater.decompress(data, limit + 1)
        except zlib.error:
            raise self._tampered(name) from None
        if len(whole) > limit or not inflater.eof or inflater.unused_data:
            raise self._tampered(name)
        return whole

    def _tampered(self, name: str) -> Refusal:
        return Refusal(2, Message("release.archive.member", {"member": name[:200]}), self._path)


class Window(io.RawIOBase):
    """Part of a file as a stream of its own: ``size`` bytes from the byte ``start`` of ``fileno()``."""

    def __init__(self, path: str, start: int, size: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close
        self.start, self.size, self._at = start, size, 0

    def fileno(self) -> int:
        return self._file.fileno()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = min(max(base + offset, 0), self.size)
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = os.pread(self._file.fileno(), min(len(buffer), self.size - self._at), self.start + self._at)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()
