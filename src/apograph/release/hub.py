"""Models in the local cache of the Hugging Face hub, found without network and without the hub's library.

Layout of the cache (huggingface_hub, "Understand caching"): ``models--owner--name`` holds ``refs/<revision>``
(a file with a commit id), ``snapshots/<commit>/`` (links into ``blobs``) and ``blobs/`` (the contents).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from apograph.findings import Message, Refusal

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PREFIX = re.compile(r"[0-9a-f]{4,40}")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision in the cache: its folder, the folder of blobs, its commit id."""

    path: str
    blobs: str
    commit: str


def cache_folder() -> str:
    """Where the hub's library keeps models, by the same environment variables."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return os.path.realpath(os.path.expanduser(hub or os.path.join(home, "hub")))


def cache_of(path: str) -> str | None:
    """The model's folder in a cache when ``path`` is one of its snapshots."""
    snapshots, commit = os.path.split(path)
    model, name = os.path.split(snapshots)
    inside = name == "snapshots" and os.path.basename(model).startswith("models--")
    return model if inside and _COMMIT.fullmatch(commit) and os.path.isdir(f"{model}/blobs") else None


def find(ref: str, *, download: bool = False) -> Snapshot:
    """The snapshot that ``owner/name[@revision]`` names (``main`` by default).

    Raises Refusal 4 when the cache lacks it; with ``download`` it is fetched first.
    """
    name, _, revision = ref.partition("@")
    revision = revision or "main"
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise Refusal(4, Message("release.hub.absent", {"rev": revision}), ref)
    model = os.path.join(cache_folder(), "models--" + name.replace("/", "--"))
    found = _commit(model, revision)
    if download and found is None:
        _download(name, revision, ref)
        found = _commit(model, revision)
    if found is None:
        raise Refusal(4, Message("release.hub.absent", {"rev": revision}), ref)
    return Snapshot(os.path.join(model, "snapshots", found), os.path.join(model, "blobs"), found)


def _commit(model: str, revision: str) -> str | None:
    try:
        with open(os.path.join(model, "refs", *revision.split("/")), encoding="ascii") as file:
            named = file.read(41).strip()
    except (OSError, ValueError):
        named = revision
    try:
        commits = [name for name in os.listdir(os.path.join(model, "snapshots")) if _COMMIT.fullmatch(name)]
    except OSError:
        return None
    if not _PREFIX.fullmatch(named):
        return None
    matching = [commit for commit in commits if commit.startswith(named)]
    return matching[0] if len(matching) == 1 else None


def _download(name: str, revision: str, ref: str) -> None:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise Refusal(4, Message("release.hub.extra"), ref) from None
    try:
        snapshot_download(name, revision=revision, cache_dir=cache_folder())
    except Exception as error:  # the library raises many kinds; all mean that nothing was fetched
        reason = str(error).split("\n", 1)[0][:200]
        raise Refusal(4, Message("release.hub.failed", {"reason": reason}), ref) from None
