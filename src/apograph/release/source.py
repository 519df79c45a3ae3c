"""What a worker reads from: one interface over folders, git revisions, single files and archives.

Sources live in the worker only. A *spec*, plain JSON, names one; ``open_source`` makes it and keeps it, so
that later calls find it open. The functions at the end are what the other side calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from apograph import plain
from apograph.findings import Json, Message, Param, Refusal, Unexamined
from apograph.release.types import File, History

LARGEST_READ = 256 << 20


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a release, sorted by path, and what could not be listed."""

    files: tuple[File, ...]
    faults: tuple[Unexamined, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """A history and what could not be read of it."""

    history: History | None
    faults: tuple[Unexamined, ...] = ()


class Source(Protocol):
    """Readers below raise Refusal for what is faulty and return None for content that is absent by
    publication (a pointer, a missing blob, no such file)."""

    def listing(self) -> Listing: ...

    def open(self, path: str) -> tuple[BinaryIO, int] | None:
        """A file's bytes as a seekable stream, and their number."""

    def blob(self, oid: str, limit: int) -> bytes | None:
        """The content of any blob of any revision."""

    def past(self) -> Past: ...

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
    if len(data) != size:
        raise Refusal(2, Message("release.changed"), path)
    return data


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
    total = hashlib.sha256()
    seen = 0
    with stream:
        while part := stream.read(1 << 20):
            total.update(part)
            seen += len(part)
    if seen != size:
        raise Refusal(2, Message("release.changed"), path)
    return total.hexdigest()
