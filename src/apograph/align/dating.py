"""For one file of the candidate, the nearest state of any file in the reference's whole history.

A state that was current only for a while dates the copying: what equals it was taken from it, or from what it
was taken from, no earlier than the state appeared. Dates of commits can be forged; callers say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from apograph.findings import Json
from apograph.release.types import Version

RUN = 6
"""Consecutive words of a text that are one feature."""


class Fingerprint(Protocol):
    """What one state of a file is compared by."""

    def similarity(self, other: Fingerprint) -> float:
        """From 0 (nothing of this state is in the other) to 1 (all of it is)."""


@dataclass(frozen=True, slots=True)
class Features:
    """A file as a set of features, compared by the Jaccard index (Jaccard 1912)."""

    items: frozenset[str]

    def similarity(self, other: Fingerprint) -> float:
        """Shared features over all features; two empty sets share nothing."""
        assert isinstance(other, Features)
        union = len(self.items | other.items)
        return len(self.items & other.items) / union if union else 0.0


def json_features(value: Json) -> Features:
    """Every leaf of a JSON value as ``path=value``: formatting and the order of keys do not count."""
    items: list[str] = []
    stack: list[tuple[str, Json]] = [("", value)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict) and node:
            stack += [(f"{path}.{key}", entry) for key, entry in node.items()]
        elif isinstance(node, list) and node:
            stack += [(f"{path}[{n}]", entry) for n, entry in enumerate(node)]
        else:
            items.append(f"{path}={node!r}")
    return Features(frozenset(items))


def text_features(text: str) -> Features:
    """Every run of ``RUN`` consecutive words of a text, without case or punctuation at their edges."""
    tokens = [token.strip(".,;:!?()[]*_`'\"").lower() for token in text.split()]
    tokens = [token for token in tokens if token]
    return Features(frozenset(" ".join(tokens[n : n + RUN]) for n in range(len(tokens) - RUN + 1)))


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest state. ``since`` and ``until`` (seconds since 1970 UTC; None = still current) bound the
    time in which a state at this similarity was current. ``runner_up`` is the best similarity among the
    *other* states of the same path (None: no other); only a gap between the two dates anything."""

    path: str
    commit: str
    similarity: float
    same_object: bool
    since: int
    until: int | None
    until_commit: str | None
    runner_up: float | None
    states: int

    @property
    def dates(self) -> bool:
        """Whether another state of the same file is farther away, so that the interval says something."""
        return self.runner_up is not None and self.runner_up < self.similarity


def nearest(
    git_oid: str,
    fingerprint: Fingerprint | None,
    versions: Iterable[Version],
    fingerprints: Mapping[str, Fingerprint],
    floor: float = 0.5,
) -> Nearest | None:
    """The state among ``versions`` nearest to one file; None when all similarities are below ``floor``.

    ``fingerprints`` maps blob ids to what could be read; an equal blob id counts as 1 without any content.
    Ties between states of one path widen the interval; ties between paths go to the earliest state.
    """
    by_path: dict[str, list[tuple[float, Version]]] = {}
    for version in versions:
        score = _score(git_oid, fingerprint, version, fingerprints)
        if score is not None:
            by_path.setdefault(version.path, []).append((score, version))
    best: Nearest | None = None
    for path in sorted(by_path):
        found = _nearest_state(git_oid, path, by_path[path])
        if found.similarity >= floor and (best is None or _rank(found) > _rank(best)):
            best = found
    return best


def _score(
    git_oid: str, own: Fingerprint | None, version: Version, fingerprints: Mapping[str, Fingerprint]
) -> float | None:
    if version.git_oid == git_oid:
        return 1.0
    other = fingerprints.get(version.git_oid)
    if own is None or other is None or type(own) is not type(other):
        return None
    return own.similarity(other)


def _rank(found: Nearest) -> tuple[float, bool, int]:
    return found.similarity, found.same_object, -found.since


def _nearest_state(git_oid: str, path: str, scored: list[tuple[float, Version]]) -> Nearest:
    top = max(score for score, _ in scored)
    tied = sorted((v for score, v in scored if score == top), key=lambda v: v.since)
    last = max(tied, key=lambda v: v.until if v.until is not None else 1 << 62)
    return Nearest(
        path=path,
        commit=tied[0].commit,
        similarity=top,
        same_object=any(v.git_oid == git_oid for v in tied),
        since=tied[0].since,
        until=last.until,
        until_commit=last.until_commit,
        runner_up=max((score for score, _ in scored if score < top), default=None),
        states=len({v.git_oid for _, v in scored}),
    )
