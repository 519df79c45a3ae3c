"""Class paths that configurations name (``auto_map``), and whether a repository holds what they name.

Sources are searched for ``class Name`` as text; nothing is imported or parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apograph.evidence.jsons import dotted, leaves
from apograph.findings import Json
from apograph.release.types import Release, Version

MAX_SOURCE = 4 << 20
MAX_STATES = 2_000
_PATH = re.compile(r"([A-Za-z_][\w.]{0,200})\.([A-Za-z_]\w{0,200})")
_CLASS = re.compile(rb"^[ \t]*class[ \t]+([A-Za-z_]\w{0,200})", re.MULTILINE)
_CLASS_KEYS = (
    "architectures",
    "tokenizer_class",
    "processor_class",
    "image_processor_type",
    "feature_extractor_type",
)


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class as a configuration file names it: ``module`` is empty when only the class is named."""

    path: str
    key: str
    module: str
    name: str

    @property
    def text(self) -> str:
        """``module.name``, or the name alone."""
        return f"{self.module}.{self.name}" if self.module else self.name


@dataclass(frozen=True, slots=True)
class Home:
    """Where a repository defines a class: the first state of the file that does (None: it lies in the
    examined revision and there is no history), and until when some state did (None: still)."""

    path: str
    first: Version | None
    until: int | None


def class_names(release: Release) -> Iterator[ClassName]:
    """Every class that the configurations and the tokenizer's configuration name, each once per key. A path
    with ``repository--`` in front openly names another repository and is left out."""
    files: dict[str, Json] = dict(release.configs)
    if release.tokenizer is not None:
        path = next((p for p in release.tokenizer.files if p.endswith("tokenizer_config.json")), "")
        files[path] = dict(release.tokenizer.config)
    for path, value in sorted(files.items()):
        for place, leaf in leaves(value).items():
            if not isinstance(leaf, str):
                continue
            if "auto_map" in place[:-1] and (match := _PATH.fullmatch(leaf)):
                yield ClassName(path, dotted(place), match[1], match[2])
            elif place and place[0] in _CLASS_KEYS and leaf.isidentifier():
                yield ClassName(path, dotted(place), "", leaf)


class Sources:
    """The Python files of a release, of all revisions, by the classes that they define."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._held = {f.path: f.git_oid for f in release.files if f.path.endswith(".py")}
        self._modules = {_module(path) for path in self._held}
        self._homes: dict[str, list[Home]] = {}
        told: dict[str, frozenset[str]] = {}
        for path, oid in self._held.items():
            key = oid or path
            if key not in told:
                told[key] = _defined(release.read(path, MAX_SOURCE))
            for name in told[key]:
                self._homes.setdefault(name, []).append(Home(path, None, None))
        self._add_past()

    def _add_past(self) -> None:
        history = self._release.history
        states = [v for v in history.versions if v.path.endswith(".py")] if history is not None else []
        past: dict[tuple[str, str], list[Version]] = {}
        known: dict[str, frozenset[str]] = {}
        for version in sorted(states, key=lambda v: v.since)[-MAX_STATES:]:
            self._modules.add(_module(version.path))
            if version.git_oid not in known:
                known[version.git_oid] = _defined(self._release.blob(version.git_oid, MAX_SOURCE))
            for name in known[version.git_oid]:
                past.setdefault((name, version.path), []).append(version)
        for (name, path), versions in past.items():
            ends = [v.until for v in versions if v.until is not None]
            until = max(ends) if len(ends) == len(versions) else None
            homes = [h for h in self._homes.get(name, []) if h.path != path]
            self._homes[name] = [*homes, Home(path, versions[0], until)]

    def has_module(self, module: str) -> bool:
        """Whether some revision has a file of the module's name, readable or not."""
        return module.replace(".", "/").rsplit("/", 1)[-1] in self._modules

    def home(self, named: ClassName) -> Home | None:
        """Where the class is defined, in the named module if one is named."""
        wanted = named.module.rsplit(".", 1)[-1]
        homes = [h for h in self._homes.get(named.name, []) if not wanted or _module(h.path) == wanted]
        return min(homes, key=lambda h: h.path) if homes else None


def _module(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".py")


def _defined(source: bytes | None) -> frozenset[str]:
    return frozenset(m.decode() for m in _CLASS.findall(source or b""))


def left_over(mine: Mapping[str, Sources], named: ClassName) -> Home | None:
    """Where the *other* side defines a class that one's own side names but does not have; None if one's own
    side has it (or its module, whose content may be absent), or if a base or a claimed source defines it.

    ``mine`` holds the sources of ``own``, of ``other``, and of every release that explains.
    """
    own, other = mine["own"], mine["other"]
    if own.home(named) is not None or (named.module and own.has_module(named.module)):
        return None
    if any(s.home(named) is not None for role, s in mine.items() if role not in ("own", "other")):
        return None
    return other.home(named)
