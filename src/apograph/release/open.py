"""``open_release``: from what a user names to a release."""

from __future__ import annotations

import os
import re
import stat

from apograph.findings import Json, Message, Refusal
from apograph.release.content_kind import weight_kind
from apograph.release.opened import Opened
from apograph.release.sandbox import Worker
from apograph.release.source import note, refused
from apograph.release.types import Release

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_SINGLE = ("safetensors", "GGUF", "PyTorch")


def open_release(ref: str, *, not_after: int | None = None, download: bool = False) -> Release:
    """Open a published model: a folder, a git repository (``path`` or ``path@revision``), a Hugging Face id
    in the local cache (``owner/name`` or ``owner/name@revision``), one safetensors, GGUF or PyTorch file,
    or an archive that ``preserve`` made.

    A path without ``@`` opens a bare repository at HEAD, and a working tree as the files that lie there, with
    the repository's history. ``not_after`` (seconds since 1970 UTC) opens a repository at the newest commit
    of any reference whose committer time is not later, unless ``@revision`` was given; a release without
    history opens as it is, with a note. ``download`` fetches an id that the cache lacks.

    Raises Refusal 4 for a path or revision that does not exist (``release.git.none_so_old`` when every commit
    is later than ``not_after``), 3 when nothing supported was found, 2 when the input is unsafe or broken,
    5 when it exceeds a limit.
    """
    path, revision = _split(ref)
    if path is None:
        return _open_hub(ref, not_after, download)
    path = os.path.realpath(path)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            return _open_folder(ref, path, revision, not_after)
        if not stat.S_ISREG(status.st_mode):
            raise Refusal(2, Message("release.folder.special"), ref)
        return _open_file(ref, path, revision, not_after)
    except OSError as error:
        raise Refusal(2, Message("release.unreadable", {"reason": error.strerror or ""}), ref) from None


def check_ref(ref: str) -> None:
    """Raise Refusal 4 for what names no path and cannot be an id: before anything is opened."""
    _split(ref)


def _split(ref: str) -> tuple[str | None, str | None]:
    """The path and the revision that ``ref`` names; no path when it is an id of the hub."""
    if os.path.lexists(ref):
        return ref, None
    path, at, revision = ref.rpartition("@")
    if at and os.path.lexists(path):
        return path, revision
    if _HUB_ID.fullmatch(path if at else ref) and ".." not in ref:
        return None, None
    raise Refusal(4, Message("release.no_path"), ref)


def _open_folder(ref: str, path: str, revision: str | None, not_after: int | None) -> Release:
    from apograph.release.hub import cache_of
    from apograph.release.refs import looks_like_git

    bare = looks_like_git(path)
    inner = os.path.lexists(os.path.join(path, ".git"))
    if bare or (inner and (revision is not None or not_after is not None)):
        worker = Worker([path], git=True)
        dated = _open_dated(ref, {"kind": "git", "path": path}, worker, revision, not_after)
        if bare or revision is not None or dated.later is not None:
            return dated
        # The newest revision is old enough: where it lies on disk unchanged, weights can be read there.
        here = _open_folder(ref, path, None, None)
        return here if here.revision == dated.revision else dated
    if revision is not None:
        raise Refusal(4, Message("release.no_history"), ref)
    spec: dict[str, Json] = {"kind": "folder", "path": path}
    roots = [path]
    cache = cache_of(path)
    if cache is not None:
        spec["blobs"] = os.path.join(cache, "blobs")
        roots.append(cache)
    worker = Worker(roots, git=inner)
    problem: Refusal | None = None
    head: dict[str, Json] = {}
    if inner:
        try:
            head = worker.call("apograph.release.git:work_tree", {**spec, "git": path}, seconds=120.0)
            spec["git"] = path
        except Refusal as refusal:
            problem = refusal  # the files are examined without the history
    time = head.get("time")
    opened = Opened(
        ref,
        "git" if inner else "folder",
        spec,
        worker,
        revision=str(head["id"]) if head.get("id") else None,
        revision_time=time if isinstance(time, int) else None,
    )
    if problem is not None:
        opened.record(refused(problem))
    differ = head.get("differ")
    if isinstance(differ, int) and differ:
        opened.record(note("git.work_tree", n=differ))
    return _supported(opened, not_after)


def _open_dated(
    ref: str, spec: dict[str, Json], worker: Worker, revision: str | None, not_after: int | None
) -> Release:
    """A repository or an archive at the revision asked for."""
    chosen = worker.call("apograph.release.source:choose", spec, revision, not_after, seconds=120.0)
    return Opened(
        ref,
        str(spec["kind"]),
        {**spec, "revision": chosen["id"]},
        worker,
        revision=chosen["id"],
        revision_time=chosen["time"],
        later=chosen["later"],
        origin=ref if revision is None else ref.removesuffix(f"@{revision}"),
    )


def _open_file(ref: str, path: str, revision: str | None, not_after: int | None) -> Release:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        kind = weight_kind(file.read(512), path)
    worker = Worker([path])
    if kind == "zip":
        return _open_dated(ref, {"kind": "archive", "path": path}, worker, revision, not_after)
    if kind not in _SINGLE:
        raise Refusal(3, Message("release.nothing"), ref)
    if revision is not None:
        raise Refusal(4, Message("release.no_history"), ref)
    spec: dict[str, Json] = {"kind": "folder", "path": os.path.dirname(path), "only": os.path.basename(path)}
    return _supported(Opened(ref, "file", spec, worker), not_after)


def _open_hub(ref: str, not_after: int | None, download: bool) -> Release:
    from apograph.release.hub import find

    snapshot = find(ref, download=download)
    spec: dict[str, Json] = {"kind": "folder", "path": snapshot.path, "blobs": snapshot.blobs}
    worker = Worker([snapshot.path, snapshot.blobs])
    opened = Opened(ref, "hub", spec, worker, revision=snapshot.commit)
    return _supported(opened, not_after)


def _supported(opened: Opened, not_after: int | None) -> Release:
    """Refuse a release in which nothing can be examined; note that one without dates ignores a date."""
    if not opened.worker.call("apograph.release.checkpoint:supported", opened.spec, seconds=120.0):
        raise Refusal(3, Message("release.nothing"), opened.ref)
    if not_after is not None:
        opened.record(note("undated"))
    return opened
