"""Keep what a release shows in one archive: releases under dispute get deleted.

Kept are all texts of all revisions, the whole history, the headers of weight files and the identities of
every file; with ``weights`` the weight files too. What is not text is named and described only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from apograph import __version__, plain
from apograph.findings import Json, Message, Refusal
from apograph.release.archive import Kept
from apograph.release.container import MAX_MEMBER, MAX_TOGETHER, Writer, to_bytes
from apograph.release.opened import Opened
from apograph.release.source import Past
from apograph.release.types import Content, File

_SOURCE = "apograph.release.source"
_BATCH = 1000
_PART = 16 << 20
_LOOKED_AT = 8000
"""A file is text when its first bytes hold no NUL: git's own rule and number."""
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Preserved:
    """What was kept. ``left_out`` counts the texts that a bound excluded."""

    digest: str
    captured: str
    files: int
    texts: int
    heads: int
    weights: int
    commits: int
    left_out: int


def preserve(
    release: Opened, out: str, *, weights: bool = False, with_mail: bool = False, now: datetime | None = None
) -> Preserved:
    """Write the archive of ``release`` to ``out``; ``now`` is the time of capture (by default, now).

    Raises Refusal 4 when ``out`` cannot be written, 5 when the device is full or a table exceeds what an
    archive may hold. Nothing stands at ``out`` unless all of it was written.
    """
    writer = Writer(out)
    try:
        return _Preserving(release, writer, now or datetime.now(UTC)).run(weights, with_mail)
    except OSError as error:
        raise Refusal(5, Message("cli.error.output", {"reason": error.strerror or ""}), out) from None
    finally:
        writer.abandon()


class _Preserving:
    def __init__(self, release: Opened, writer: Writer, now: datetime) -> None:
        self.release = release
        self.writer = writer
        self.captured = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.room = MAX_TOGETHER // 2
        self.left_out = 0

    def run(self, weights: bool, with_mail: bool) -> Preserved:
        """Write every member, then the manifest."""
        release = self.release
        listing_faults = release.faults  # before any part is read: the parts are read again from the archive
        past: Past = plain.load(Past, self.call("past"))
        texts, blobs = self.blobs(past)
        heads = self.heads()
        kept_weights = self.weights(heads) if weights else {}
        unhashed = [f for f in release.described if f.content is Content.PRESENT and f.sha256 is None]
        digests = {f.path: value for f in unhashed if (value := release.sha256(f.path)) is not None}
        kept = Kept(
            release.ref,
            release.kind,
            release.revision,
            release.revision_time,
            release.described,
            listing_faults,
            digests,
            heads,
            kept_weights,
        )
        self.table("release.json", plain.dump(kept))
        self.table("history.json", plain.dump(past))
        self.table("blobs.json", {oid: plain.dump(file) for oid, file in blobs.items()})
        if with_mail:
            self.table("mail.json", self.call("mail"))
        commits = len(past.history.commits) if past.history else 0
        digest = self.writer.finish(
            {
                "tool": f"apograph {__version__}",
                "captured": self.captured,
                "ref": release.ref,
                "kind": release.kind,
                "revision": release.revision,
                "release": release.digest,
                "mail": with_mail,
                "left_out": self.left_out,
            }
        )
        return Preserved(
            digest,
            self.captured,
            len(release.files),
            texts,
            len(heads),
            len(kept_weights),
            commits,
            self.left_out,
        )

    def call(self, function: str, *arguments: Json) -> Json:
        """A function of ``release.source``, in the release's worker."""
        value: Json = self.release.worker.call(
            f"{_SOURCE}:{function}", self.release.spec, *arguments, seconds=_PATIENCE
        )
        return value

    def table(self, name: str, value: Json) -> None:
        """A member of JSON that a reader of archives will accept."""
        data = to_bytes(value)
        if len(data) > MAX_MEMBER:
            raise Refusal(5, Message("release.archive.table", {"member": name, "limit": MAX_MEMBER}))
        self.writer.add(name, data)

    def blobs(self, past: Past) -> tuple[int, dict[str, File]]:
        """Write the texts among all blobs of all revisions; the number written, and every blob's identity."""
        versions = past.history.versions if past.history else ()
        paths = {version.git_oid: version.path for version in versions}
        paths |= {file.git_oid: file.path for file in self.release.files if file.git_oid}
        oids = sorted(paths)
        known: dict[str, File] = {}
        for start in range(0, len(oids), _BATCH):
            found = plain.load(tuple[File | None, ...], self.call("identities", oids[start : start + _BATCH]))
            known |= {file.git_oid: file for file in found if file is not None and file.git_oid}
        written = 0
        for oid, file in known.items():
            # Of a pointer the text itself is small, whatever size it speaks of.
            if file.content is Content.PRESENT and (file.size or 0) > MAX_MEMBER:
                continue
            data = self.release.blob(oid, MAX_MEMBER) if file.content is not Content.MISSING else None
            if data is None or not _is_text(data, paths[oid]):
                continue
            if len(data) > self.room:
                self.left_out += 1
                continue
            self.room -= len(data)
            self.writer.add(f"blobs/{oid}", data)
            written += 1
        return written, known

    def heads(self) -> dict[str, str]:
        """Write the headers of all weight files that have one; the member of each path."""
        lengths = self.release.worker.call(
            "apograph.release.checkpoint:heads", self.release.spec, seconds=_PATIENCE
        )
        members: dict[str, str] = {}
        for number, (path, length) in enumerate(sorted(lengths.items())):
            data = self.release.worker.call(
                f"{_SOURCE}:head", self.release.spec, path, length, seconds=_PATIENCE
            )
            members[path] = f"heads/{number:06d}"
            self.writer.add(members[path], data)
        return members

    def weights(self, heads: dict[str, str]) -> dict[str, str]:
        """Write the weight files that are here whole; the member of each path."""
        members: dict[str, str] = {}
        sizes = {file.path: file.size for file in self.release.files if file.content is Content.PRESENT}
        for number, path in enumerate(sorted(path for path in heads if sizes.get(path))):
            members[path] = f"weights/{number:06d}"
            self.writer.add_weights(members[path], self.parts(path, sizes[path] or 0))
        return members

    def parts(self, path: str, size: int) -> Iterator[bytes]:
        """A file's content, part by part."""
        for start in range(0, size, _PART):
            data = self.release.worker.call(
                f"{_SOURCE}:part", self.release.spec, path, start, _PART, seconds=_PATIENCE
            )
            if data is None or len(data) != min(_PART, size - start):
                raise Refusal(2, Message("release.changed"), path)
            yield data


def _is_text(data: bytes, path: str) -> bool:
    """Text, or compiled Python, whose names are evidence too."""
    return b"\0" not in data[:_LOOKED_AT] or path.endswith(".pyc")
