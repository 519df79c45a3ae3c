"""The release that ``open_release`` returns: lazy, read through one worker, its gaps kept in ``faults``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeVar

from apograph import plain
from apograph.findings import Json, Message, Refusal, Unexamined
from apograph.release.sandbox import Worker
from apograph.release.source import Listing, Past, digest_of, refused, shallowest
from apograph.release.types import Card, Content, File, History, Release, Tensors, Tokenizer

T = TypeVar("T")
_SOURCE = "apograph.release.source"
_PATIENCE = 120.0
"""Seconds that one part may take."""
_HASHING = 50 << 20
"""Bytes per second that hashing reaches on any machine worth waiting for."""


class Opened:
    """A ``Release`` (see ``release.types``). Made by ``open_release``."""

    def __init__(
        self,
        ref: str,
        kind: str,
        spec: dict[str, Json],
        worker: Worker,
        *,
        revision: str | None = None,
        revision_time: int | None = None,
        later: str | None = None,
        origin: str | None = None,
    ) -> None:
        """``spec`` names the source in the worker (``source.open_source``); ``origin`` is ``ref`` without
        its revision. Raises Refusal when the files
        cannot be listed."""
        self._ref, self._kind, self._spec, self._worker = ref, kind, spec, worker
        self._revision, self._revision_time, self._later = revision, revision_time, later
        self._origin = origin or ref
        self._faults: dict[tuple[str, str, str], Unexamined] = {}
        listing = _load(Listing, worker.call(f"{_SOURCE}:listing", spec, seconds=_PATIENCE))
        self._files, self._described = listing.files, listing.described or listing.files
        self._by_path = {file.path: file for file in listing.files}
        self.record(*listing.faults)

    @property
    def ref(self) -> str:
        return self._ref

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def revision(self) -> str | None:
        return self._revision

    @property
    def revision_time(self) -> int | None:
        return self._revision_time

    @property
    def files(self) -> tuple[File, ...]:
        return self._files

    @property
    def faults(self) -> tuple[Unexamined, ...]:
        return tuple(self._faults.values())

    @property
    def described(self) -> tuple[File, ...]:
        """The files as the original release listed them, for an archive; else ``files``."""
        return self._described

    @property
    def spec(self) -> dict[str, Json]:
        """What names this release's source in the worker."""
        return self._spec

    @property
    def worker(self) -> Worker:
        """The confined process that reads this release."""
        return self._worker

    @cached_property
    def digest(self) -> str:
        """``source.digest_of`` the files as listed when the release was opened."""
        return digest_of(self._described)

    @cached_property
    def configs(self) -> Mapping[str, Json]:
        return self._part("parts:configs", dict[str, Json]) or {}

    @cached_property
    def config(self) -> Mapping[str, Json]:
        return main_config(self.configs)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        return self._part("parts:tokenizer", Tokenizer)

    @cached_property
    def tensors(self) -> Tensors | None:
        return self._part("checkpoint:tensors", Tensors)

    @cached_property
    def foreign(self) -> Mapping[str, tuple[str, ...]]:
        try:
            named = self._worker.call("apograph.release.checkpoint:foreign", self._spec, seconds=_PATIENCE)
        except Refusal as refusal:
            self.record(refused(refusal))
            return {}
        return _load(dict[str, tuple[str, ...]], named)

    @cached_property
    def card(self) -> Card | None:
        return self._part("parts:card", Card)

    @cached_property
    def history(self) -> History | None:
        try:
            past = _load(Past, self._worker.call(f"{_SOURCE}:past", self._spec, seconds=_PATIENCE))
        except Refusal as refusal:
            self.record(refused(refusal))
            return None
        self.record(*past.faults)
        return past.history

    @cached_property
    def later(self) -> Release | None:
        return self.at(self._later) if self._later is not None else None

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """Content of a file of this revision; None when absent by publication. Faults are recorded."""
        file = self._by_path.get(path)
        if file is None or file.content is not Content.PRESENT:
            return None
        return self._bytes("read", path, path, limit)

    def blob(self, git_oid: str, limit: int = 1 << 20) -> bytes | None:
        """Content of any blob of the repository, any revision; None when absent."""
        return self._bytes("blob", git_oid, git_oid, limit)

    def sha256(self, path: str) -> str | None:
        """SHA-256 of a file, computed now if need be."""
        file = self._by_path.get(path)
        if file is None or file.sha256 is not None or file.content in (Content.LFS, Content.REFUSED):
            return file.sha256 if file else None
        seconds = _PATIENCE + (file.size or 0) / _HASHING
        try:
            value: str | None = self._worker.call(f"{_SOURCE}:sha256", self._spec, path, seconds=seconds)
        except Refusal as refusal:
            self.record(refused(refusal, path))
            return None
        return value

    def at(self, revision: str) -> Release:
        """The same repository at another commit, branch or tag. Raises Refusal 4 when there is none."""
        spec = self._history_spec()
        chosen = self._worker.call("apograph.release.source:choose", spec, revision, None, seconds=_PATIENCE)
        return Opened(
            f"{self._origin}@{revision}",
            "archive" if spec["kind"] == "archive" else "git",
            {**spec, "revision": chosen["id"]},
            self._worker,
            revision=chosen["id"],
            revision_time=chosen["time"],
            origin=self._origin,
        )

    def record(self, *gaps: Unexamined) -> None:
        """Add gaps, each once."""
        for gap in gaps:
            self._faults.setdefault((gap.reason.key, gap.path, repr(gap.reason.params)), gap)

    def _history_spec(self) -> dict[str, Json]:
        if self._spec["kind"] in ("git", "archive"):
            return self._spec
        git = self._spec.get("git")
        if git is None:
            raise Refusal(4, Message("release.no_history"), self._ref)
        return {"kind": "git", "path": git}

    def _part(self, function: str, kind: type[T]) -> T | None:
        try:
            found = self._worker.call(f"apograph.release.{function}", self._spec, seconds=_PATIENCE)
            self.record(*_load(tuple[Unexamined, ...], found["faults"]))
            return None if found["value"] is None else _load(kind, found["value"])
        except Refusal as refusal:
            self.record(refused(refusal))
            return None

    def _bytes(self, function: str, what: str, path: str, limit: int) -> bytes | None:
        try:
            value: bytes | None = self._worker.call(f"{_SOURCE}:{function}", self._spec, what, limit)
        except Refusal as refusal:
            self.record(refused(refusal, path))
            return None
        return value


def _load(kind: type[T], value: Json) -> T:
    """``plain.load``. Raises Refusal 2 when a worker answered what no worker of ours answers."""
    try:
        return plain.load(kind, value)
    except ValueError as error:
        raise Refusal(2, Message("release.worker.failed", {"kind": str(error)[:100]})) from None


def main_config(found: Mapping[str, Json]) -> dict[str, Json]:
    """Of all configuration files the shallowest config.json that names a model type or architectures."""
    for path in shallowest(found):
        value = found[path]
        if path.rpartition("/")[2] != "config.json" or not isinstance(value, dict):
            continue
        if value.keys() & {"model_type", "architectures"}:
            return value
    return {}
