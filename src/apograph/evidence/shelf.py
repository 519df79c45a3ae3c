"""States of files, read once and kept as fingerprints, so that a file can be held against a whole history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from apograph.align.code import compare_units
from apograph.align.code_trees import CodeTree, trees
from apograph.align.dating import Features, Fingerprint, json_features, text_features
from apograph.evidence.code_sources import Library
from apograph.findings import Refusal
from apograph.release import sandbox
from apograph.release.types import Release, Version

MAX_STATES = 400
"""States of one kind of file (JSON, prose) that are compared; the newest are kept."""
MAX_SOURCES = 120
"""Python states that are parsed: those that share most words with the case."""
NEAR_PATHS = 3
"""Paths whose Python states are compared with a file in full: those that share most operations with it."""
NEAR_SHARE = 0.1
"""A state that shares less than this of a file's operations is not compared with it in full."""
MAX_BYTES = 1 << 20
"""Larger states are compared by identity only."""
_READ = 16 << 20
_KINDS = {".py": "python", ".json": "json", ".md": "prose", ".txt": "prose"}
_WORD = re.compile(rb"[A-Za-z_]\w{2,}")


@dataclass(frozen=True, slots=True)
class Source:
    """A Python source, compared by its structure without names; ``labels`` for a first, coarse look."""

    units: tuple[CodeTree, ...]
    labels: frozenset[int]

    def similarity(self, other: Fingerprint) -> float:
        """The share of this source that the other has too, up to names (``align.code.compare_units``): what
        a condensed or partial copy keeps of a longer file."""
        assert isinstance(other, Source)
        return float(compare_units(self.units, other.units).left)


def kind_of(path: str) -> str | None:
    """python, json or prose; None for files that are compared by identity only."""
    return _KINDS.get("." + path.lower().rsplit(".", 1)[-1])


class Shelf:
    """All states of a release's files by blob id. ``left_out`` counts those beyond the limits."""

    def __init__(self, release: Release, versions: Iterable[Version], library: Library) -> None:
        self._release = release
        self._library = library
        self.versions = tuple(versions)
        self.left_out = 0
        self._known: dict[str, Fingerprint | None] = {}
        self._kinds: dict[str, Mapping[str, Fingerprint]] = {}

    def near(self, path: str, mark: Fingerprint | None) -> Mapping[str, Fingerprint]:
        """Fingerprints by blob id of the states with which a file is worth comparing."""
        prints = self._of_kind(path)
        if not isinstance(mark, Source):
            return prints
        shares: dict[str, float] = {}
        for version in self.versions:
            state = prints.get(version.git_oid)
            if isinstance(state, Source) and mark.labels:
                share = len(mark.labels & state.labels) / len(mark.labels)
                shares[version.path] = max(share, shares.get(version.path, NEAR_SHARE))
        paths = sorted(shares, key=lambda p: (-shares[p], p))[:NEAR_PATHS]
        oids = {v.git_oid for v in self.versions if v.path in paths and shares[v.path] > NEAR_SHARE}
        return {oid: state for oid, state in prints.items() if oid in oids}

    def _of_kind(self, path: str) -> Mapping[str, Fingerprint]:
        kind = kind_of(path)
        if kind is None:
            return {}
        if kind not in self._kinds:
            states = {
                v.git_oid: v for v in sorted(self.versions, key=lambda v: v.since) if kind_of(v.path) == kind
            }
            kept = self._nearest_sources(states) if kind == "python" else list(states.values())[-MAX_STATES:]
            self.left_out += len(states) - len(kept)
            prints = {v.git_oid: self.fingerprint(v.path, v.git_oid) for v in kept}
            self._kinds[kind] = {oid: mark for oid, mark in prints.items() if mark is not None}
        return self._kinds[kind]

    def _nearest_sources(self, states: Mapping[str, Version]) -> list[Version]:
        if len(states) <= MAX_SOURCES:
            return list(states.values())
        words = self._library.words
        shared = {oid: _shared(self._release.blob(oid, _READ), words) for oid in states}
        return [states[oid] for oid in sorted(states, key=lambda oid: (-shared[oid], oid))[:MAX_SOURCES]]

    def fingerprint(self, path: str, git_oid: str) -> Fingerprint | None:
        """What a state is compared by; None when its content is absent, too large or malformed."""
        if git_oid not in self._known:
            content = self._release.blob(git_oid, _READ)
            if content is not None and len(content) > MAX_BYTES:
                content = None
            self._known[git_oid] = None if content is None else self._read(content, path)
        return self._known[git_oid]

    def _read(self, content: bytes, path: str) -> Fingerprint | None:
        """None where the content is malformed: the examiner of that kind of file says what is wrong."""
        match kind_of(path):
            case "python":
                module = self._library.module(path, content)
                if isinstance(module, Refusal):
                    return None
                units = tuple(trees(module, self._library.own))
                return Source(units, frozenset(label for unit in units for label in unit.features))
            case "json":
                try:
                    return json_features(sandbox.call("apograph.release.json_text:parse_json", content, path))
                except Refusal:
                    return None
            case "prose":
                return text_features(content.decode("utf-8", "replace"))
            case _:
                return Features(frozenset())


def _shared(content: bytes | None, words: Set[bytes]) -> int:
    return len(words & set(_WORD.findall(content))) if content is not None else 0
