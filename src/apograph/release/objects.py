"""Git objects read one by one from packs and loose files. No repository is opened and no configuration read.

libgit2's two storage backends are used directly: unlike a repository or an object database they follow no
alternates. Commits and trees are parsed here. Replace references and grafts have no effect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from apograph.findings import Message, Refusal

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4
LARGEST_COMMIT = 1 << 20
LARGEST_TREE = 64 << 20
LAST_SECOND = 253402300799
"""The end of the year 9999."""
_DIRECTORY, _LINK, _SUBMODULE = 0o040000, 0o120000, 0o160000
_SECONDS = re.compile(r"-?[0-9]{1,20}")
_ZONE = re.compile(r"[+-][0-9]{4}")


@dataclass(frozen=True, slots=True)
class Person:
    """Who and when. ``name`` holds no mail address; ``mail`` is kept apart and shown only on request."""

    name: str
    mail: str
    time: int
    offset: int


@dataclass(frozen=True, slots=True)
class RawCommit:
    """A commit as it is stored, its text decoded."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree. ``kind``: "file", "tree", "link" or "submodule"."""

    name: str
    kind: str
    oid: str


class Objects:
    """The objects of one repository, by id. Small trees and all commits read are kept."""

    def __init__(self, folder: str) -> None:
        import pygit2

        # Packs are mapped in small windows, so that a large one fits the worker's address space.
        pygit2.settings.mwindow_size = 16 << 20
        pygit2.settings.mwindow_mapped_limit = 256 << 20
        self._backends = (
            pygit2.OdbBackendPack(f"{folder}/objects"),
            pygit2.OdbBackendLoose(f"{folder}/objects", -1, False),
        )
        # An object database over these two alone: the backends themselves tell sizes beyond 2 GiB wrongly.
        self._database = pygit2.Odb()
        for place, backend in enumerate(self._backends, 1):
            self._database.add_backend(backend, place)
        self._absent = (KeyError,)
        self._broken = (pygit2.GitError, ValueError, OSError)
        self._trees: dict[str, tuple[Entry, ...]] = {}
        self._commits: dict[str, RawCommit] = {}

    def header(self, oid: str) -> tuple[int, int] | None:
        """Type and size of an object, its content not inflated; None when it is not here."""
        found = self._ask("read_header", oid)
        return None if found is None else (int(found[0]), int(found[1]))

    def read(self, oid: str, kind: int, limit: int) -> bytes | None:
        """An object's content; None when it is not here.

        Raises Refusal 2 when it is of another kind, unreadable or not what its id says, 5 when it is larger
        than ``limit``.
        """
        header = self.header(oid)
        if header is None:
            return None
        if header[0] != kind:
            raise Refusal(2, Message("release.git.kind", {"oid": oid}))
        if header[1] > limit:
            raise Refusal(5, Message("release.large", {"size": header[1], "limit": limit}))
        found = self._ask("read", oid)
        return None if found is None else bytes(found[1])  # the library checks it against the id

    def commit(self, oid: str) -> RawCommit | None:
        """A commit; None when it is not here. Raises Refusal as ``read`` does."""
        if oid not in self._commits:
            data = self.read(oid, COMMIT, LARGEST_COMMIT)
            if data is None:
                return None
            self._commits[oid] = parse_commit(oid, data)
        return self._commits[oid]

    def tree(self, oid: str) -> tuple[Entry, ...] | None:
        """The entries of a tree in their stored order; None when it is not here."""
        entries = self._trees.get(oid)
        if entries is None:
            data = self.read(oid, TREE, LARGEST_TREE)
            if data is None:
                return None
            entries = parse_tree(oid, data)
            if len(self._trees) < 50_000:
                self._trees[oid] = entries
        return entries

    def peel(self, oid: str) -> str | None:
        """The commit that an object leads to through tags; None when it leads to none."""
        for _ in range(8):
            header = self.header(oid)
            if header is None or header[0] != TAG:
                return oid if header is not None and header[0] == COMMIT else None
            target = re.match(rb"object ([0-9a-f]{40})\n", self.read(oid, TAG, LARGEST_COMMIT) or b"")
            if target is None:
                return None
            oid = target[1].decode("ascii")
        return None

    def prefix(self, short: str) -> str | None:
        """The full id of the only object that begins with ``short``. Raises Refusal 4 if it is ambiguous."""
        for backend in self._backends:
            try:
                return str(backend.exists_prefix(short))
            except self._absent:
                continue
            except ValueError:
                raise Refusal(4, Message("release.git.ambiguous", {"rev": short})) from None
            except self._broken:
                continue
        return None

    def _ask(self, method: str, oid: str) -> Any:
        try:
            return getattr(self._database, method)(oid)
        except self._absent:
            return None
        except self._broken:
            raise Refusal(2, Message("release.git.unreadable", {"oid": oid})) from None


def parse_commit(oid: str, data: bytes) -> RawCommit:
    """A commit from its stored bytes. Raises Refusal 2 when it has no tree."""
    head, _, body = data.partition(b"\n\n")
    tree, parents = "", []
    people: dict[bytes, Person] = {}
    for line in head.split(b"\n"):
        field, _, value = line.partition(b" ")
        if field == b"tree" and not tree:
            tree = value.decode("ascii", "replace")
        elif field == b"parent":
            parents.append(value.decode("ascii", "replace"))
        elif field in (b"author", b"committer") and field not in people:
            people[field] = parse_person(value)
    valid = all(re.fullmatch(r"[0-9a-f]{40}", name) for name in (tree, *parents))
    if not valid:
        raise Refusal(2, Message("release.git.commit", {"oid": oid}))
    nobody = Person("", "", 0, 0)
    return RawCommit(
        oid,
        tree,
        tuple(parents),
        people.get(b"author", nobody),
        people.get(b"committer", nobody),
        body.decode("utf-8", "replace"),
    )


def parse_person(value: bytes) -> Person:
    """``Name <mail> seconds zone``; times are clamped to the years 1970 to 9999, zones to a day."""
    text = value[:4096].decode("utf-8", "replace")
    who, _, when = text.rpartition(">")
    name, _, mail = who.partition("<")
    words = when.split()
    seconds = int(words[0]) if words and _SECONDS.fullmatch(words[0]) else 0
    zone = words[1] if len(words) > 1 and _ZONE.fullmatch(words[1]) else "+0000"
    minutes = min(int(zone[1:3]) * 60 + int(zone[3:5]), 24 * 60 - 1)
    name = " ".join(word for word in name.split() if "@" not in word)
    time = min(max(seconds, 0), LAST_SECOND)
    return Person(name, mail, time, -minutes if zone[0] == "-" else minutes)


def parse_tree(oid: str, data: bytes) -> tuple[Entry, ...]:
    """The entries of a tree from its stored bytes. Raises Refusal 2 when they are cut."""
    entries: list[Entry] = []
    start = 0
    while start < len(data):
        stop = data.find(b"\0", start)
        space = data.find(b" ", start, stop)
        if stop < 0 or space < 0 or stop + 21 > len(data) or not 5 <= space - start <= 6:
            raise Refusal(2, Message("release.git.tree", {"oid": oid}), offset=start)
        try:
            mode = int(data[start:space], 8) & 0o170000
        except ValueError:
            raise Refusal(2, Message("release.git.tree", {"oid": oid}), offset=start) from None
        kind = {_DIRECTORY: "tree", _LINK: "link", _SUBMODULE: "submodule"}.get(mode, "file")
        name = data[space + 1 : stop].decode("utf-8", "surrogateescape")
        entries.append(Entry(name, kind, data[stop + 1 : stop + 21].hex()))
        start = stop + 21
    return tuple(entries)


def safe_name(name: str) -> bool:
    """Whether a tree's entry may be part of a path."""
    return name not in ("", ".", "..") and "/" not in name and name.lower() != ".git"
