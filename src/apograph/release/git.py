"""One revision of a git repository as a source, and the choice of the revision."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import BinaryIO

from apograph.findings import Json, Message, Refusal, Unexamined
from apograph.release.history import newest_not_after, read_history
from apograph.release.lfs import LARGEST as LARGEST_POINTER
from apograph.release.lfs import parse_pointer
from apograph.release.objects import BLOB, Objects, safe_name
from apograph.release.refs import References, git_directory, read_references
from apograph.release.source import LARGEST_READ, Listing, Past, fault, note, open_source, refused
from apograph.release.types import Content, File

MAX_FILES = 200_000
MAX_ENTRIES = 1_000_000
MAX_DEPTH = 100
_PREFIX = re.compile(r"[0-9a-fA-F]{4,40}")


@cache
def repository(folder: str) -> tuple[Objects, References]:
    """The objects and references of the repository of ``folder``, checked first. Raises Refusal."""
    found = git_directory(folder)
    if found is None:
        raise Refusal(3, Message("release.git.none"), folder)
    return Objects(found), read_references(found)


@cache
def past_of(folder: str) -> Past:
    """The history of the repository of ``folder``."""
    return read_history(*repository(folder))


def mail_of(folder: str) -> Json:
    """The addresses of every commit: id to [author, committer]."""
    objects, _ = repository(folder)
    history = past_of(folder).history
    commits = [objects.commit(commit.id) for commit in history.commits] if history else []
    return {c.id: [c.author.mail, c.committer.mail] for c in commits if c is not None}


class GitSource:
    """The files of commit ``revision`` of the repository of ``folder``."""

    def __init__(self, folder: str, revision: str) -> None:
        self._folder = folder
        self._objects, _ = repository(folder)
        commit = self._objects.commit(revision)
        if commit is None:
            raise Refusal(4, Message("release.git.no_revision", {"rev": revision}), folder)
        self._listing = _list(self._objects, commit.tree)
        self._files = {file.path: file for file in self._listing.files}

    def listing(self) -> Listing:
        return self._listing

    def open(self, path: str) -> tuple[BinaryIO, int] | None:
        file = self._files.get(path)
        if file is None or file.content is not Content.PRESENT or file.git_oid is None:
            return None
        data = self.blob(file.git_oid, LARGEST_READ)
        return None if data is None else (io.BytesIO(data), len(data))

    def head(self, path: str) -> tuple[BinaryIO, int] | None:
        return self.open(path)

    def identity(self, oid: str) -> File | None:
        return identity(self._folder, oid)

    def blob(self, oid: str, limit: int) -> bytes | None:
        return self._objects.read(oid, BLOB, limit)

    def past(self) -> Past:
        return past_of(self._folder)

    def digest(self, path: str) -> str | None:
        file = self._files.get(path)
        return file.sha256 if file else None


def _list(objects: Objects, tree: str) -> Listing:
    """Every file of a tree. A tree without any file is entered once, however often it occurs."""
    files: list[File] = []
    faults: dict[str, Unexamined] = {}
    known: dict[str, tuple[Content, int | None, str | None]] = {}
    barren: set[str] = set()
    waiting, seen = [("", tree, 0)], 0
    while waiting:
        prefix, oid, depth = waiting.pop()
        entries = objects.tree(oid)
        if entries is None:
            faults[f"tree {oid}"] = note("git.no_tree", prefix, oid=oid)
            continue
        seen += len(entries)
        if seen > MAX_ENTRIES or len(files) > MAX_FILES or depth > MAX_DEPTH:
            faults["many"] = fault("git.files", prefix, code=5, limit=MAX_FILES, depth=MAX_DEPTH)
            if depth > MAX_DEPTH:
                continue
            break
        if all(entry.kind == "tree" and entry.oid in barren for entry in entries):
            barren.add(oid)
        names: set[str] = set()
        for entry in entries:
            path = prefix + entry.name
            if not safe_name(entry.name) or entry.name in names:
                faults[path] = fault("git.name", path)
            elif entry.kind == "tree":
                if entry.oid not in barren:
                    waiting.append((path + "/", entry.oid, depth + 1))
            elif entry.kind == "submodule":
                faults[path] = note("git.submodule", path, oid=entry.oid)
            else:
                if entry.oid not in known:
                    try:
                        known[entry.oid] = _identify(objects, entry.oid)
                    except Refusal as refusal:
                        faults[path] = refused(refusal, path)
                        known[entry.oid] = Content.REFUSED, None, None
                content, size, sha256 = known[entry.oid]
                if entry.kind == "link":
                    content = Content.REFUSED
                files.append(File(path, size, content, entry.oid, sha256))
            names.add(entry.name)
    return Listing(tuple(sorted(files, key=lambda f: f.path)), tuple(faults.values()))


def _identify(objects: Objects, oid: str) -> tuple[Content, int | None, str | None]:
    """Content, size and SHA-256 as far as the repository tells them. Raises Refusal."""
    header = objects.header(oid)
    if header is None:
        return Content.MISSING, None, None
    if header[0] != BLOB:
        raise Refusal(2, Message("release.git.kind", {"oid": oid}))
    if header[1] < LARGEST_POINTER:
        pointer = parse_pointer(objects.read(oid, BLOB, LARGEST_POINTER) or b"")
        if pointer:
            return Content.LFS, pointer[1], pointer[0]
    return Content.PRESENT, header[1], None


def identity(folder: str, oid: str) -> File | None:
    """What the repository of ``folder`` tells about a blob; None when it cannot be read."""
    try:
        content, size, sha256 = _identify(repository(folder)[0], oid)
    except Refusal:
        return None
    return File("", size, content, oid, sha256)


def choose(folder: str, revision: str | None, not_after: int | None) -> dict[str, Json]:
    """The commit to open: ``revision``; else HEAD; with ``not_after`` the newest commit of any reference
    with a committer time up to then. Answers {"id", "time", "later"}; ``later`` is the newest commit of all
    when ``not_after`` chose an older one.

    Raises Refusal 4 when there is no such commit, 3 when the repository has none at all.
    """
    objects, references = repository(folder)
    if revision is not None:
        oid = _resolve(objects, references, revision)
        if oid is None:
            raise Refusal(4, Message("release.git.no_revision", {"rev": revision}), folder)
    else:
        tips = [references.head_id, *references.tips.values()]
        oid = next((found for tip in tips if tip and (found := objects.peel(tip))), None)
        if oid is None:
            raise Refusal(3, Message("release.git.empty"), folder)
        history = past_of(folder).history if not_after is not None else None
        if history is not None and not_after is not None:
            return newest_not_after(history.commits, not_after, folder)
    chosen = objects.commit(oid)
    if chosen is None:
        raise Refusal(4, Message("release.git.no_revision", {"rev": oid}), folder)
    return {"id": oid, "time": chosen.committer.time, "later": None}


def _resolve(objects: Objects, references: References, revision: str) -> str | None:
    if revision == "HEAD" and references.head_id:
        return objects.peel(references.head_id)
    for prefix in ("", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"):
        if prefix + revision in references.tips:
            return objects.peel(references.tips[prefix + revision])
    if _PREFIX.fullmatch(revision):
        short = revision.lower()
        found = short if len(short) == 40 else objects.prefix(short)
        return objects.peel(found) if found else None
    return None


def work_tree(spec: dict[str, Json]) -> dict[str, Json]:
    """How the files of a working tree stand to its HEAD: {"id", "time", "differ"}.

    ``id`` and ``time`` are HEAD's when every file of that commit lies in the folder unchanged (a large file
    that was not hashed counts as unchanged when its size is that of its pointer), else None; ``differ``
    counts the files that are changed, missing or not in the commit. No index and no filter is consulted.
    """
    folder = str(spec["git"])
    objects, references = repository(folder)
    oid = objects.peel(references.head_id) if references.head_id else None
    commit = objects.commit(oid) if oid else None
    if commit is None:
        return {"id": None, "time": None, "differ": 0}
    here = {file.path: file for file in open_source(spec).listing().files}
    there = {file.path: file for file in _list(objects, commit.tree).files}
    changed = sum(path not in here or not _same(file, here[path]) for path, file in there.items())
    differ = changed + len(here.keys() - there.keys())
    if changed:
        return {"id": None, "time": None, "differ": differ}
    return {"id": commit.id, "time": commit.committer.time, "differ": differ}


def _same(committed: File, lying: File) -> bool:
    if lying.git_oid is not None and lying.git_oid == committed.git_oid:
        return True
    if committed.content is Content.LFS:
        return committed.sha256 == lying.sha256 or (lying.sha256 is None and committed.size == lying.size)
    return committed.content is Content.REFUSED and lying.content is Content.REFUSED
