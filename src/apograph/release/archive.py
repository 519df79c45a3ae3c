"""A preserved release as a source: what ``preserve`` kept answers as the original did.

Members: ``release.json`` (files as they were listed and what the listing lacked), ``history.json``,
``blobs.json`` (what was known of every blob of the history), ``blobs/<object id>`` (contents),
``heads/<number>`` (headers of weight files), ``weights/<number>``, and ``mail.json`` where addresses were
asked for.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from typing import BinaryIO

from apograph import plain
from apograph.findings import Json, Message, Refusal, Unexamined
from apograph.release.container import Container
from apograph.release.history import newest_not_after
from apograph.release.json_text import parse_json
from apograph.release.source import Listing, Past
from apograph.release.types import Commit, Content, File, History


@dataclass(frozen=True, slots=True)
class Kept:
    """``release.json``. ``heads`` and ``weights`` map paths to members; ``digests`` holds the SHA-256 of
    files that were not hashed when the release was opened."""

    ref: str
    kind: str
    revision: str | None
    revision_time: int | None
    files: tuple[File, ...]
    faults: tuple[Unexamined, ...]
    digests: dict[str, str]
    heads: dict[str, str]
    weights: dict[str, str]


class Archive:
    """An archive's tables, checked against their types."""

    def __init__(self, path: str) -> None:
        self.container = Container(path)
        try:
            self.kept = plain.load(Kept, self.table("release.json"))
            self.past = plain.load(Past, self.table("history.json"))
            blobs = self.table("blobs.json")
            listed = blobs.items() if isinstance(blobs, dict) else ()
            self.blobs = {oid: plain.load(File, entry) for oid, entry in listed}
        except (ValueError, KeyError, TypeError):
            raise Refusal(2, Message("release.archive.tables"), path) from None
        history = self.past.history or History((), ())
        self.commits = {commit.id: commit for commit in history.commits}

    def table(self, name: str) -> Json:
        """A member of JSON."""
        return parse_json(self.container.read(name), name)

    def holds(self, oid: str | None) -> bool:
        """Whether the archive has the content of this object id."""
        return f"blobs/{oid}" in self.container.members


@cache
def open_archive(path: str) -> Archive:
    """The archive at ``path``. Raises Refusal as ``Container`` does."""
    return Archive(path)


def mail_of(path: str) -> Json:
    """The addresses that the archive holds: commit id to [author, committer]."""
    archive = open_archive(path)
    return archive.table("mail.json") if "mail.json" in archive.container.members else {}


class ArchiveSource:
    """The release as it was preserved, or another revision of its history."""

    def __init__(self, path: str, revision: str | None) -> None:
        self._archive = open_archive(path)
        self._container = self._archive.container
        kept = self._archive.kept
        self._main = revision is None or revision == kept.revision
        if not self._main and revision not in self._archive.commits:
            raise Refusal(4, Message("release.git.no_revision", {"rev": str(revision)}), path)
        listed = kept.files if self._main or revision is None else self._files_at(revision)
        self._original = {file.path: file for file in listed}
        files = tuple(self._as_held(file) for file in listed)
        self._files = {file.path: file for file in files}
        self._listing = Listing(files, kept.faults if self._main else (), tuple(listed))

    def listing(self) -> Listing:
        return self._listing

    def open(self, path: str) -> tuple[BinaryIO, int] | None:
        file = self._files.get(path)
        if file is None or file.content is not Content.PRESENT:
            return None
        if self._archive.holds(file.git_oid):
            data = self._container.read(f"blobs/{file.git_oid}")
            return io.BytesIO(data), len(data)
        return self._container.stream(self._archive.kept.weights[path])

    def check_weights(self, path: str) -> None:
        """Read kept weights once. Raises Refusal 2 when they are not what was preserved."""
        self._container.check(self._archive.kept.weights[path])

    def head(self, path: str) -> tuple[BinaryIO, int] | None:
        opened = self.open(path)
        name = self._archive.kept.heads.get(path) if self._main else None
        size = self._original[path].size if path in self._original else None
        if opened is None and name is not None and size is not None:
            return io.BytesIO(self._container.read(name)), size
        return opened

    def blob(self, oid: str, limit: int) -> bytes | None:
        if not self._archive.holds(oid):
            return None
        data = self._container.read(f"blobs/{oid}")
        if len(data) > limit:
            raise Refusal(5, Message("release.large", {"size": len(data), "limit": limit}))
        return data

    def identity(self, oid: str) -> File | None:
        return self._archive.blobs.get(oid)

    def past(self) -> Past:
        return self._archive.past

    def digest(self, path: str) -> str | None:
        file = self._files.get(path)
        known = file.sha256 if file else None
        return known or (self._archive.kept.digests.get(path) if self._main else None)

    def _as_held(self, file: File) -> File:
        """A file whose content was not kept is named and described, but missing."""
        weights = self._main and file.path in self._archive.kept.weights
        held = weights or self._archive.holds(file.git_oid)
        return file if held or file.content is not Content.PRESENT else replace(file, content=Content.MISSING)

    def _files_at(self, revision: str) -> list[File]:
        """The files of a commit: the changes along its first parents, oldest first."""
        chain: list[Commit] = []
        oid: str | None = revision
        while oid in self._archive.commits:
            commit = self._archive.commits[oid]
            chain.append(commit)
            oid = commit.parents[0] if commit.parents else None
        tree: dict[str, str] = {}
        for commit in reversed(chain):
            for change in commit.changes:
                if change.after is None:
                    tree.pop(change.path, None)
                else:
                    tree[change.path] = change.after
        unknown = File("", None, Content.MISSING)
        return [
            replace(self._archive.blobs.get(blob, unknown), path=path, git_oid=blob)
            for path, blob in sorted(tree.items())
        ]


def choose(path: str, revision: str | None, not_after: int | None) -> dict[str, Json]:
    """The revision to open, as ``git.choose``. An archive without history opens as it was preserved."""
    archive = open_archive(path)
    history, kept = archive.past.history, archive.kept
    if history is None or not history.commits:
        if revision is not None:
            raise Refusal(4, Message("release.no_history"), path)
        return {"id": None, "time": None, "later": None}
    if revision is None and not_after is None:
        return {"id": kept.revision, "time": kept.revision_time, "later": None}
    if revision is not None:
        found = [
            commit
            for commit in history.commits
            if revision in commit.refs or (len(revision) >= 4 and commit.id.startswith(revision.lower()))
        ]
        if len(found) != 1:
            key = "release.git.ambiguous" if found else "release.git.no_revision"
            raise Refusal(4, Message(key, {"rev": revision}), path)
        return {"id": found[0].id, "time": found[0].time, "later": None}
    return newest_not_after(history.commits, not_after or 0, path)
