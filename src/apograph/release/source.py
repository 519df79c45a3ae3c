"""What a worker reads from: one interface over folders, git revisions, single files and archives.

Sources live in the worker only. A *spec*, plain JSON, names one; ``open_source`` makes it and keeps it, so
that later calls find it open. The functions at the end are what the other side calls.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from apograph import plain
from apograph.findings import Json, Message, Param, Refusal, Unexamined
from apograph.release.types import File, History

LARGEST_READ = 256 << 20
_SPARSE = 1 << 30
"""A file larger than this of which less than an eighth is on the disk is not hashed."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a release, sorted by path, and what could not be listed."""

    files: tuple[File, ...]
    faults: tuple[Unexamined, ...] = ()
    described: tuple[File, ...] = ()
    """The same files as the original release listed them, where a preserved one holds fewer contents."""


@dataclass(frozen=True, slots=True)
class Past:
    """A history and what could not be read of it."""

    history: History | None
    faults: tuple[Unexamined, ...] = ()


class Source(Protocol):
    """Readers below raise Refusal for what is faulty and return None for content that is absent by
    publication (a pointer, a missing blob, no such file)."""

    def listing(self) -> Listing:
        """All files of the release with their identities."""

    def open(self, path: str) -> tuple[BinaryIO, int] | None:
        """A file's bytes as a seekable stream, and their number."""

    def head(self, path: str) -> tuple[BinaryIO, int] | None:
        """As ``open``, but the stream may end where the header of a weight file ends."""

    def blob(self, oid: str, limit: int) -> bytes | None:
        """The content of any blob of any revision."""

    def identity(self, oid: str) -> File | None:
        """What is known of a blob of any revision (its ``path`` is empty)."""

    def past(self) -> Past:
        """Commits and earlier versions of files."""

    def digest(self, path: str) -> str | None:
        """The SHA-256 (hex) of a file where the source knows it without its content."""


def fault(key: str, path: str = "", code: int = 2, **params: Param) -> Unexamined:
    """Something of a release that could not be read, for a reason ``release.<key>``."""
    return Unexamined("release", Message(f"release.{key}", params), path=path, fault=True, code=code)


def note(key: str, path: str = "", **params: Param) -> Unexamined:
    """Something that was set aside and is no error."""
    return Unexamined("release", Message(f"release.{key}", params), path=path)


def refused(refusal: Refusal, path: str = "") -> Unexamined:
    """A refusal as a gap of the examination."""
    return Unexamined("release", refusal.message, path=path or refusal.path, fault=True, code=refusal.code)


def shallowest(paths: Iterable[str]) -> list[str]:
    """Paths by depth, then by name."""
    return sorted(paths, key=lambda path: (path.count("/"), path))


def read_whole(source: Source, path: str, limit: int) -> bytes | None:
    """A file's content. Raises Refusal 5 when it is larger than ``limit`` bytes."""
    opened = source.open(path)
    if opened is None:
        return None
    stream, size = opened
    with stream:
        if size > limit:
            raise Refusal(5, Message("release.large", {"size": size, "limit": limit}), path)
        data = stream.read(size + 1)
    known = source.digest(path)
    if len(data) != size or (known is not None and hashlib.sha256(data).hexdigest() != known):
        raise Refusal(2, Message("release.changed"), path)
    return data


def digest_of(files: Iterable[File]) -> str:
    """SHA-256 (hex) over one line per file: path, size, content, git object id and SHA-256."""
    total = hashlib.sha256()
    for f in files:
        line = f"{f.path}\0{f.size}\0{f.content.value}\0{f.git_oid}\0{f.sha256}\n"
        total.update(line.encode("utf-8", "surrogatepass"))
    return total.hexdigest()


_open: dict[str, Source] = {}


def open_source(spec: dict[str, Json]) -> Source:
    """The source that ``spec`` names: {"kind": folder | git | archive, "path": ..., ...}."""
    key = repr(sorted(spec.items()))
    if key not in _open:
        _open[key] = _make(spec)
    return _open[key]


def _make(spec: dict[str, Json]) -> Source:
    path = str(spec["path"])
    if spec["kind"] == "git":
        from apograph.release.git import GitSource

        return GitSource(path, str(spec["revision"]))
    if spec["kind"] == "archive":
        from apograph.release.archive import ArchiveSource

        revision = spec.get("revision")
        archive: Source = ArchiveSource(path, None if revision is None else str(revision))
        return archive
    from apograph.release.folder import FolderSource

    return FolderSource(path, **{name: str(spec[name]) for name in ("blobs", "git", "only") if name in spec})


def choose(spec: dict[str, Json], revision: str | None, not_after: int | None) -> dict[str, Json]:
    """The commit to open, as ``git.choose``."""
    if spec["kind"] == "archive":
        from apograph.release.archive import choose as choose_archived

        found: dict[str, Json] = choose_archived(str(spec["path"]), revision, not_after)
        return found
    from apograph.release.git import choose as choose_commit

    return choose_commit(str(spec["path"]), revision, not_after)


def listing(spec: dict[str, Json]) -> Json:
    """A ``Listing``, as plain JSON."""
    return plain.dump(open_source(spec).listing())


def read(spec: dict[str, Json], path: str, limit: int) -> bytes | None:
    """A file's content."""
    return read_whole(open_source(spec), path, min(limit, LARGEST_READ))


def blob(spec: dict[str, Json], oid: str, limit: int) -> bytes | None:
    """A blob's content."""
    return open_source(spec).blob(oid, min(limit, LARGEST_READ))


def part(spec: dict[str, Json], path: str, start: int, length: int) -> bytes | None:
    """``length`` bytes of a file from ``start`` on, fewer at its end."""
    opened = open_source(spec).open(path)
    if opened is None:
        return None
    with opened[0] as stream:
        stream.seek(start)
        return stream.read(min(length, LARGEST_READ))


def head(spec: dict[str, Json], path: str, length: int) -> bytes | None:
    """The first ``length`` bytes of a weight file."""
    opened = open_source(spec).head(path)
    if opened is None:
        return None
    with opened[0] as stream:
        return stream.read(min(length, LARGEST_READ))


def mail(spec: dict[str, Json]) -> Json:
    """The mail addresses that each commit records: id to [author, committer]."""
    if spec["kind"] == "archive":
        from apograph.release.archive import mail_of as mail_archived

        return mail_archived(str(spec["path"]))
    if spec["kind"] != "git" and "git" not in spec:
        return {}
    from apograph.release.git import mail_of

    return mail_of(str(spec["git"] if "git" in spec else spec["path"]))


def identities(spec: dict[str, Json], oids: list[str]) -> Json:
    """What is known of each blob, as plain JSON: a ``File`` or None."""
    source = open_source(spec)
    return [plain.dump(source.identity(oid)) for oid in oids]


def past(spec: dict[str, Json]) -> Json:
    """A ``Past``, as plain JSON."""
    return plain.dump(open_source(spec).past())


def sha256(spec: dict[str, Json], path: str) -> str | None:
    """The SHA-256 (hex) of a file's content; None when absent by publication."""
    source = open_source(spec)
    known = source.digest(path)
    if known is not None:
        return known
    opened = source.open(path)
    if opened is None:
        return None
    stream, size = opened
    with stream:
        before = _status(stream)
        if before is not None and size > _SPARSE and before.st_blocks * 512 < size // 8:
            raise Refusal(5, Message("release.sparse", {"size": size}), path)
        total, seen = hashlib.sha256(), 0
        while data := stream.read(1 << 20):
            total.update(data)
            seen += len(data)
        after = _status(stream)
    if seen != size or (before and after and before.st_mtime_ns != after.st_mtime_ns):
        raise Refusal(2, Message("release.changed"), path)
    return total.hexdigest()


def _status(stream: BinaryIO) -> os.stat_result | None:
    """The state of the file behind a stream, where there is one."""
    try:
        return os.fstat(stream.fileno())
    except OSError:
        return None
