"""Where a git repository is and what its references say, read by ourselves before any library sees it.

``git_directory`` walks everything that will be read with lstat and refuses what could lead out of the
repository: symbolic links, alternates, a common directory, linked work trees, a ``.git`` file. The
repository's configuration is never read: nothing in it can run or include anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from apograph.findings import Message, Refusal

_OID = re.compile(r"[0-9a-f]{40}")
_LONG_OID = re.compile(r"[0-9a-f]{64}")
_ELSEWHERE = ("objects/info/alternates", "objects/info/http-alternates", "commondir", "worktrees")
LARGEST_REFERENCES = 32 << 20
MOST_ENTRIES = 1_000_000
"""Loose objects, packs and references together."""


@dataclass(frozen=True, slots=True)
class References:
    """``tips`` maps full names (refs/heads/main) to object ids; ``head`` is the branch that HEAD names (or
    None when it is detached), ``head_id`` the object it leads to; ``shallow`` tells a cut history."""

    tips: dict[str, str]
    head: str | None
    head_id: str | None
    shallow: bool
    replaced: bool


def looks_like_git(folder: str) -> bool:
    """Whether ``folder`` directly holds HEAD, objects and refs."""
    return all(os.path.lexists(os.path.join(folder, name)) for name in ("HEAD", "objects", "refs"))


def git_directory(folder: str) -> str | None:
    """The repository of ``folder`` (itself, when bare, or its ``.git``); None when it has none.

    Raises Refusal 2 when the repository, or any part of it that would be read, lies elsewhere; 5 when it
    has more entries than are walked.
    """
    inner = os.path.join(folder, ".git")
    if os.path.lexists(inner):
        if not stat.S_ISDIR(os.lstat(inner).st_mode):
            raise Refusal(2, Message("release.git.elsewhere", {"what": ".git"}), inner)
        folder = inner
    elif not looks_like_git(folder):
        return None
    for name in _ELSEWHERE:
        if os.path.lexists(os.path.join(folder, name)):
            raise Refusal(2, Message("release.git.elsewhere", {"what": name}), folder)
    if os.path.lexists(os.path.join(folder, "reftable")):
        raise Refusal(2, Message("release.git.reftable"), folder)
    if not looks_like_git(folder):
        raise Refusal(2, Message("release.git.incomplete"), folder)
    for name in ("HEAD", "packed-refs", "shallow"):
        _plain(folder, name, stat.S_ISREG)
    for name in ("objects", "refs"):
        _plain(folder, name, stat.S_ISDIR)
        for _ in _walk(os.path.join(folder, name)):
            pass
    return folder


def _plain(folder: str, name: str, right_kind: object) -> None:
    path = os.path.join(folder, name)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not right_kind(mode):  # type: ignore[operator]
        raise Refusal(2, Message("release.git.elsewhere", {"what": name}), folder)


def _walk(top: str) -> Iterator[str]:
    """Every regular file below ``top``; anything but files and folders is refused."""
    waiting, seen = [top], 0
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_ENTRIES:
                    raise Refusal(5, Message("release.git.entries", {"limit": MOST_ENTRIES}), top)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path
                else:
                    raise Refusal(2, Message("release.git.elsewhere", {"what": entry.name}), folder)


def read_references(folder: str) -> References:
    """All references of a repository that ``git_directory`` let pass: loose ones, then packed ones."""
    tips: dict[str, str] = {}
    for line in _text(os.path.join(folder, "packed-refs"), LARGEST_REFERENCES).splitlines():
        oid, _, name = line.partition(" ")
        if _LONG_OID.fullmatch(oid):
            raise Refusal(2, Message("release.git.sha256"), folder)
        if _OID.fullmatch(oid) and name.startswith("refs/"):
            tips[name] = oid
    symbolic: dict[str, str] = {}
    for path in _walk(os.path.join(folder, "refs")):
        value = _text(path, 4096).strip()
        name = os.path.relpath(path, folder)
        if _OID.fullmatch(value):
            tips[name] = value
        elif value.startswith("ref: "):
            symbolic[name] = value[5:].strip()
        elif _LONG_OID.fullmatch(value):
            raise Refusal(2, Message("release.git.sha256"), folder)
    for name, target in symbolic.items():
        if target in tips:
            tips[name] = tips[target]
    value = _text(os.path.join(folder, "HEAD"), 4096).strip()
    head = value[5:].strip() if value.startswith("ref: ") else None
    head_id = value if _OID.fullmatch(value) else tips.get(head or "")
    replaced = any(name.startswith("refs/replace/") for name in tips)
    grafted = os.path.lexists(os.path.join(folder, "info", "grafts"))
    tips = {name: oid for name, oid in sorted(tips.items()) if not name.startswith("refs/replace/")}
    shallow = os.path.lexists(os.path.join(folder, "shallow"))
    return References(tips, head, head_id, shallow, replaced or grafted)


def _text(path: str, limit: int) -> str:
    """A small file as text, never through a symbolic link; empty when it does not exist."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    with os.fdopen(fd, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Refusal(5, Message("release.git.references", {"limit": limit}), path)
    return data.decode("utf-8", "surrogateescape")
