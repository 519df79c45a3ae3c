"""File contents by any identity (SHA-256, git blob id, LFS object id), in any revision, present or absent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apograph.release.tokenizer_files import NAMES as TOKENIZER_NAMES
from apograph.release.types import Content, File, Release, Version

SMALL = 256
"""Bytes. Shorter files are equal by habit, not by origin."""
EMPTY = frozenset(
    {
        "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
)
_BOILERPLATE = re.compile(
    r"(licen[cs]e|copying|notice|unlicense|code_of_conduct|contributing)([._-].*)?|\.git(attributes|ignore|keep)"
    r"|\.(editorconfig|dockerignore|ds_store)|py\.typed",
    re.IGNORECASE,
)
_WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".npz", ".msgpack", ".onnx")
_CODE = (".py", ".ipynb", ".sh", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".js", ".ts")
_CONFIGURATION = (".json", ".yaml", ".yml", ".toml", ".cfg", ".ini")


@dataclass(frozen=True, slots=True)
class State:
    """One content at one path: ``ids`` are all its known identities; ``version`` is given for a state of the
    history that the examined revision no longer has."""

    path: str
    ids: frozenset[str]
    size: int | None
    present: bool
    version: Version | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def boilerplate(self) -> bool:
        """Empty, tiny, or a text that every repository has (licence, .gitattributes)."""
        tiny = self.size is not None and self.size < SMALL
        return tiny or bool(self.ids & EMPTY) or _BOILERPLATE.fullmatch(self.name) is not None

    @property
    def kind(self) -> str:
        """weights, code, tokenizer, configuration or other, by the name of the file."""
        name = self.name.lower()
        if name in TOKENIZER_NAMES or name.endswith((".model", ".tiktoken", ".spm")):
            return "tokenizer"
        for kind, suffixes in (("weights", _WEIGHTS), ("code", _CODE), ("configuration", _CONFIGURATION)):
            if name.endswith(suffixes):
                return kind
        return "other"


def current(release: Release, hashed: dict[str, str] | None = None) -> list[State]:
    """The files of the examined revision; ``hashed`` adds SHA-256 by path."""
    return [_state(file, (hashed or {}).get(file.path)) for file in release.files]


def _state(file: File, sha256: str | None) -> State:
    ids = {f"git:{file.git_oid}"} if file.git_oid else set()
    if known := file.sha256 or sha256:
        ids.add(f"sha256:{known}")
    return State(file.path, frozenset(ids), file.size, file.content is Content.PRESENT)


def earlier(release: Release, until: int | None = None) -> Iterator[State]:
    """Contents of the whole history that the examined revision does not hold at the same path; with ``until``
    (seconds since 1970) only those that appeared by then."""
    held = {(f.path, f.git_oid) for f in release.files}
    seen: set[tuple[str, str]] = set()
    for version in release.history.versions if release.history is not None else ():
        key = version.path, version.git_oid
        if key not in held and key not in seen and (until is None or version.since <= until):
            seen.add(key)
            yield State(version.path, frozenset({f"git:{version.git_oid}"}), None, False, version)


def hash_where_needed(a: Release, b: Release) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 by path of those files whose size occurs on the other side in a file that no identity known so
    far can be compared with."""
    made: tuple[dict[str, str], dict[str, str]] = {}, {}
    for mine, release, other in ((made[0], a, b), (made[1], b, a)):
        by_size: dict[int, list[File]] = defaultdict(list)
        for file in other.files:
            if file.size:
                by_size[file.size].append(file)
        for file in release.files:
            rivals = by_size.get(file.size or 0, ())
            if (
                file.content is Content.PRESENT
                and not file.sha256
                and not all(_comparable(file, r) for r in rivals)
            ):
                sha256 = release.sha256(file.path)
                if sha256 is not None:
                    mine[file.path] = sha256
    return made


def _comparable(a: File, b: File) -> bool:
    """Whether the identities at hand decide equality: a pointer's blob id says nothing about a real file."""
    git = bool(a.git_oid and b.git_oid) and (a.content is Content.LFS) == (b.content is Content.LFS)
    return git or bool(a.sha256 and b.sha256) or b.content is Content.REFUSED


@dataclass(frozen=True, slots=True)
class Shared:
    """One content that both sides have: the places on each side, those of the examined revision first."""

    ids: frozenset[str]
    reference: tuple[State, ...]
    candidate: tuple[State, ...]

    @property
    def kind(self) -> str:
        """The weightiest kind among all the names that the content has."""
        kinds = {s.kind for s in (*self.reference, *self.candidate)}
        order = ("weights", "code", "other", "tokenizer", "configuration")
        return next(k for k in order if k in kinds)

    @property
    def boilerplate(self) -> bool:
        """Whether any file with this content is boilerplate."""
        return any(s.boilerplate for s in (*self.reference, *self.candidate))

    @property
    def absent(self) -> bool:
        """Whether neither side holds the content itself: equal by its id alone."""
        return not any(s.present for s in (*self.reference, *self.candidate) if s.version is None)

    @property
    def now(self) -> bool:
        """Whether both examined revisions have it."""
        return self.reference[0].version is None and self.candidate[0].version is None


def shared_contents(reference: Iterable[State], candidate: Iterable[State]) -> list[Shared]:
    """Every content that occurs on both sides, under whatever paths, ordered by its first path."""
    sides = [list(reference), list(candidate)]
    group: dict[str, str] = {}

    def root(identity: str) -> str:
        while group.setdefault(identity, identity) != identity:
            identity = group[identity]
        return identity

    for states in sides:
        for state in states:
            first, *rest = sorted(state.ids) or [""]
            for other in rest:
                group[max(root(first), root(other))] = min(root(first), root(other))
    places: dict[str, tuple[list[State], list[State]]] = defaultdict(lambda: ([], []))
    for side, states in enumerate(sides):
        for state in states:
            if state.ids:
                places[root(min(state.ids))][side].append(state)
    found = [
        Shared(
            frozenset(i for s in (*a, *b) for i in s.ids),
            tuple(sorted(a, key=_place)),
            tuple(sorted(b, key=_place)),
        )
        for a, b in places.values()
        if a and b
    ]
    return sorted(found, key=lambda s: (not s.now, s.reference[0].path, s.candidate[0].path))


def _place(state: State) -> tuple[bool, int, str]:
    return state.version is not None, state.version.since if state.version else 0, state.path
