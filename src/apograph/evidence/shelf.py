"""States of files, read once and kept as fingerprints, so that a file can be held against a whole history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apograph.align.code import file_similarity
from apograph.align.dating import Features, Fingerprint, json_features, text_features
from apograph.findings import Refusal
from apograph.release import sandbox
from apograph.release.code import Module, read_module
from apograph.release.types import Release, Version

MAX_STATES = 400
"""States of one kind of file (Python, JSON, prose) that are compared; the newest are kept."""
MAX_BYTES = 1 << 20
_KINDS = {".py": "python", ".json": "json", ".md": "prose", ".txt": "prose"}


@dataclass(frozen=True, slots=True)
class Source:
    """A Python source, compared by its structure without names."""

    module: Module

    def similarity(self, other: Fingerprint) -> float:
        """The share of this source that the other has too, up to names (``align.code.file_similarity``): what
        a condensed or partial copy keeps of a longer file."""
        assert isinstance(other, Source)
        return file_similarity(self.module, other.module).left


def kind_of(path: str) -> str | None:
    """python, json or prose; None for files that are compared by identity only."""
    return _KINDS.get("." + path.lower().rsplit(".", 1)[-1])


class Shelf:
    """All states of a release's files by blob id. ``left_out`` counts those beyond ``MAX_STATES``."""

    def __init__(self, release: Release, versions: Iterable[Version]) -> None:
        self._release = release
        self.versions = tuple(versions)
        self.left_out = 0
        self._known: dict[str, Fingerprint | None] = {}
        self._kinds: dict[str, Mapping[str, Fingerprint]] = {}

    def of_kind(self, path: str) -> Mapping[str, Fingerprint]:
        """Fingerprints by blob id of all states of files of the same kind as ``path``."""
        kind = kind_of(path)
        if kind is None:
            return {}
        if kind not in self._kinds:
            states = {
                v.git_oid: v for v in sorted(self.versions, key=lambda v: v.since) if kind_of(v.path) == kind
            }
            kept = list(states.values())[-MAX_STATES:]
            self.left_out += len(states) - len(kept)
            prints = {v.git_oid: self.fingerprint(v.path, v.git_oid) for v in kept}
            self._kinds[kind] = {oid: mark for oid, mark in prints.items() if mark is not None}
        return self._kinds[kind]

    def fingerprint(self, path: str, git_oid: str) -> Fingerprint | None:
        """What a state is compared by; None when its content is absent, too large or malformed."""
        if git_oid not in self._known:
            content = self._release.blob(git_oid, MAX_BYTES)
            self._known[git_oid] = None if content is None else _read(content, path)
        return self._known[git_oid]


def _read(content: bytes, path: str) -> Fingerprint | None:
    try:
        match kind_of(path):
            case "python":
                return Source(read_module(content, path))
            case "json":
                return json_features(sandbox.call("apograph.release.json_text:parse_json", content, path))
            case "prose":
                return text_features(content.decode("utf-8", "replace"))
            case _:
                return Features(frozenset())
    except Refusal:
        return None  # the examiner of that kind of file reports what is wrong with it
