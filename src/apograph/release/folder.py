"""A folder of files as a source, walked and opened without ever following a way out of it.

Every path is opened component by component with O_NOFOLLOW from the folder's own descriptor; only regular
files are read. Symbolic links are listed as refused, except those of a Hugging Face cache that lead from a
snapshot to a blob of the same cache. A folder of one file (``only``) is that single file.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from apograph.findings import Message, Refusal, Unexamined
from apograph.release.lfs import LARGEST as LARGEST_POINTER
from apograph.release.lfs import parse_pointer
from apograph.release.source import Listing, Past, fault, note, refused
from apograph.release.types import Content, File

MAX_FILES = 200_000
"""Twice what the largest published repositories hold."""
MAX_DEPTH = 100
HASHED = 64 << 20
"""Files up to this size are hashed when the folder is opened ..."""
HASHED_TOGETHER = 1 << 30
"""... as long as all of them together stay below this."""
_BLOB = re.compile(r"(?:\.\./){1,100}blobs/([0-9a-f]{40}|[0-9a-f]{64})")
_ENTER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderSource:
    """The files below ``folder``. ``blobs`` is the blob folder of a Hugging Face cache; ``git`` the folder
    whose repository's history belongs to these files; ``only`` the one file that counts."""

    def __init__(
        self, folder: str, blobs: str | None = None, git: str | None = None, only: str | None = None
    ) -> None:
        self._root = os.open(folder, _ENTER)
        self._blobs = None if blobs is None else os.open(blobs, _ENTER)
        self._git = git
        self._only = only
        self._faults: list[Unexamined] = []
        self._budget = HASHED_TOGETHER
        self._files = {file.path: file for file in self._list()}
        self._listing = Listing(
            tuple(sorted(self._files.values(), key=lambda f: f.path)), tuple(self._faults)
        )
        self._by_oid = {file.git_oid: path for path, file in self._files.items() if file.git_oid}

    def listing(self) -> Listing:
        return self._listing

    def open(self, path: str) -> tuple[BinaryIO, int] | None:
        file = self._files.get(path)
        if file is None or file.content is not Content.PRESENT:
            return None
        try:
            stream, status = self._open(path)
        except OSError as error:
            reason = {"reason": error.strerror or ""}
            raise Refusal(2, Message("release.unreadable", reason), path) from None
        if file.size != status.st_size:
            stream.close()
            raise Refusal(2, Message("release.changed"), path)
        return stream, status.st_size

    def head(self, path: str) -> tuple[BinaryIO, int] | None:
        return self.open(path)

    def identity(self, oid: str) -> File | None:
        path = self._by_oid.get(oid)
        if path is not None:
            return replace(self._files[path], path="")
        if self._git is None:
            return None
        from apograph.release.git import identity

        return identity(self._git, oid)

    def blob(self, oid: str, limit: int) -> bytes | None:
        path = self._by_oid.get(oid)
        if path is None:
            if self._git is None:
                return None
            from apograph.release.git import repository
            from apograph.release.objects import BLOB

            return repository(self._git)[0].read(oid, BLOB, limit)
        from apograph.release.source import read_whole

        return read_whole(self, path, limit)

    def past(self) -> Past:
        if self._git is None:
            return Past(None)
        from apograph.release.git import past_of

        return past_of(self._git)

    def digest(self, path: str) -> str | None:
        file = self._files.get(path)
        return file.sha256 if file else None

    def _list(self) -> list[File]:
        if self._only is not None:
            return [self._file(self._only)]
        return [self._file(path) for path in sorted(self._walk())]

    def _walk(self) -> Iterator[str]:
        """Every path below the root that is no folder. ``.git`` at the root is not part of the files."""
        waiting, count = [("", 0)], 0
        while waiting:
            prefix, depth = waiting.pop()
            if depth > MAX_DEPTH:
                self._faults.append(fault("folder.deep", prefix, code=5, limit=MAX_DEPTH))
                continue
            try:
                entries = self._entries(prefix)
            except OSError as error:
                self._faults.append(fault("unreadable", prefix, reason=error.strerror or ""))
                continue
            count += len(entries)
            if count > MAX_FILES:
                self._faults.append(fault("folder.many", prefix, code=5, limit=MAX_FILES))
                return
            for name, is_folder in entries:
                if name == ".git" and not prefix:
                    continue
                if is_folder:
                    waiting.append((f"{prefix}{name}/", depth + 1))
                else:
                    yield prefix + name

    def _entries(self, prefix: str) -> list[tuple[str, bool]]:
        """The names in a folder and whether each is a folder; never more than are listed in all."""
        with self._directory(prefix) as parent:
            fd = os.open(".", _READ | os.O_DIRECTORY, dir_fd=parent)
        try:
            with os.scandir(fd) as entries:
                return [(e.name, e.is_dir(follow_symlinks=False)) for e in islice(entries, MAX_FILES + 1)]
        finally:
            os.close(fd)

    @contextmanager
    def _directory(self, prefix: str) -> Iterator[int]:
        """A descriptor of the folder ``prefix``, reached without following any link."""
        fd = os.dup(self._root)
        try:
            for name in prefix.split("/")[:-1]:
                inner = os.open(name, _ENTER, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _open(self, path: str) -> tuple[BinaryIO, os.stat_result]:
        """A regular file. Raises OSError, or Refusal 2 for anything but a regular file."""
        folder, slash, name = path.rpartition("/")
        with self._directory(folder + slash) as parent:
            link = self._linked_blob(name, parent) if self._blobs is not None else None
            if link is not None:
                fd = os.open(link, _READ, dir_fd=self._blobs)
            else:
                fd = os.open(name, _READ, dir_fd=parent)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise Refusal(2, Message("release.folder.special"), path)
        return os.fdopen(fd, "rb"), status

    def _linked_blob(self, name: str, parent: int) -> str | None:
        """The blob that a snapshot's link names; None when ``name`` is no such link."""
        try:
            match = _BLOB.fullmatch(os.readlink(name, dir_fd=parent))
        except OSError:
            return None
        return match[1] if match else None

    def _file(self, path: str) -> File:
        try:
            kind, links = self._kind(path)
            if kind != "file":
                if kind == "special":
                    self._faults.append(fault("folder.special", path))
                else:
                    self._faults.append(note("folder.link", path))
                return File(path, None, Content.REFUSED)
            stream, status = self._open(path)
            if links > 1:
                self._faults.append(note("folder.hard_link", path, n=links))
            with stream:
                return self._identified(File(path, status.st_size), stream)
        except OSError as error:
            self._faults.append(fault("unreadable", path, reason=error.strerror or ""))
        except Refusal as refusal:
            self._faults.append(refused(refusal, path))
        return File(path, None, Content.REFUSED)

    def _kind(self, path: str) -> tuple[str, int]:
        """file, link or special, found without opening it, and its number of hard links."""
        folder, slash, name = path.rpartition("/")
        with self._directory(folder + slash) as parent:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                blob = self._blobs is not None and self._linked_blob(name, parent)
                return ("file" if blob else "link"), 1
        return ("file" if stat.S_ISREG(status.st_mode) else "special"), status.st_nlink

    def _identified(self, file: File, stream: BinaryIO) -> File:
        """With its identities when it is small enough to be hashed now; a pointer as what it stands for."""
        size = file.size or 0
        if size > HASHED or size > self._budget:
            return file
        self._budget -= size
        git, sha, seen, start = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256(), 0, b""
        while part := stream.read(1 << 20):
            git.update(part)
            sha.update(part)
            seen += len(part)
            start = start or part
        if seen != size:
            raise Refusal(2, Message("release.changed"), file.path)
        pointer = parse_pointer(start) if size < LARGEST_POINTER else None
        if pointer:
            return File(file.path, pointer[1], Content.LFS, git.hexdigest(), pointer[0])
        return replace(file, git_oid=git.hexdigest(), sha256=sha.hexdigest())
