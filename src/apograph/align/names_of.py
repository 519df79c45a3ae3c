"""The names under which a release is known, from its own files, and where another release writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apograph.release.types import Release, Version

MAX_TEXTS = 20_000
MAX_TEXT_BYTES = 16 << 20
TEXT_SUFFIXES = (
    ".py",
    ".md",
    ".txt",
    ".json",
    ".toml",
    ".yaml",
    ".yml",
    ".cfg",
    ".sh",
    ".ipynb",
    ".jinja",
    ".html",
)
MODEL_ID = re.compile(r"""from_pretrained\(\s*['"]([\w.-]{2,64}/[\w.-]{2,96})['"]""")
SHORTEST_NAME = 6
"""Shorter names occur by chance in other words."""
EVERYBODY_S = frozenset(
    ("config", "configuration", "modeling", "tokenizer", "tokenization", "processing", "processor")
)
"""Names of modules that anyone gives."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a release. ``kind``: "id" (owner/name), "owner", "model type", "class" or "module"."""

    text: str
    kind: str
    path: str

    @property
    def squeezed(self) -> str:
        """Without case, hyphens, underscores and dots: MiniCPM-V and minicpmv are one name."""
        return squeeze(self.text)

    @property
    def pattern(self) -> re.Pattern[str]:
        """The name as a word of its own, in any spelling; ids only as they are spelled."""
        if self.kind == "id":
            return re.compile(rf"(?<![\w-]){re.escape(self.text)}(?![\w-])", re.IGNORECASE)
        spelled = "[-_.]?".join(map(re.escape, self.squeezed))
        return re.compile(rf"(?<![\w-]){spelled}(?![a-z0-9])", re.IGNORECASE)


def squeeze(text: str) -> str:
    """Lower case without the marks that separate the parts of a name."""
    return re.sub(r"[-_.]", "", text.lower())


def names_of(release: Release) -> tuple[Name, ...]:
    """The names a release gives itself: its id on a hub, what its configuration and own modules are called.

    The type of the model and its classes count only when the release brings its own code for them
    (``auto_map``): a plain ``llama`` is everybody's.
    """
    found: dict[str, Name] = {}

    def add(text: str, kind: str, path: str) -> None:
        name = Name(text, kind, path)
        if len(name.squeezed) >= SHORTEST_NAME and name.squeezed not in EVERYBODY_S:
            found.setdefault(name.squeezed, name)

    if release.kind == "hub":
        add(release.ref.split("@")[0], "id", "")
    path = next(
        (p for p, value in release.configs.items() if value is release.config or value == release.config), ""
    )
    own = release.config.get("_name_or_path")
    if isinstance(own, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", own):
        add(own, "id", path)
    auto_map = release.config.get("auto_map")
    if isinstance(auto_map, dict):
        modules = {
            v.split(".")[0].split("--")[-1] for v in auto_map.values() if isinstance(v, str) and "." in v
        }
        for module in sorted(modules):
            add(module, "module", path)
        if isinstance(model_type := release.config.get("model_type"), str):
            add(model_type, "model type", path)
        architectures = release.config.get("architectures")
        for entry in architectures if isinstance(architectures, list) else []:
            if isinstance(entry, str):
                add(entry, "class", path)
    if release.card is not None:
        for model_id in dict.fromkeys(MODEL_ID.findall(release.card.text)):
            add(model_id, "id", release.card.path)
    for name in [n for n in found.values() if n.kind == "id"]:
        add(name.text.split("/")[0], "owner", name.path)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Mention:
    """A name of the other party in some state of a file: 1-based ``line``, the line's text (shortened)."""

    name: Name
    version: Version
    line: int
    text: str


def texts_of(release: Release) -> Iterator[tuple[Version, str]]:
    """Every text the release ever held, each content once, with the first state that had it; of a release
    opened at an older revision because of a date, those until then."""
    for number, version in enumerate(_states(release)):
        if number >= MAX_TEXTS:
            return
        content = release.blob(version.git_oid, MAX_TEXT_BYTES)
        if content is not None and b"\0" not in content:
            yield version, content.decode("utf-8", "replace")


def too_many_texts(release: Release) -> bool:
    """Whether ``texts_of`` stops early."""
    return sum(1 for _ in _states(release)) > MAX_TEXTS


def _states(release: Release) -> Iterator[Version]:
    if release.history is not None:
        # A base opened at an older revision is what it was then: its later texts explain nothing.
        newest = release.revision_time if release.later is not None else None
        held = (v for v in release.history.versions if newest is None or v.since <= newest)
        versions: Iterable[Version] = sorted(held, key=lambda v: (v.since, v.path))
    else:
        versions = [Version(f.path, f.git_oid, "", 0, None) for f in release.files if f.git_oid is not None]
    seen: set[str] = set()
    for version in versions:
        if version.git_oid not in seen and version.path.lower().endswith(TEXT_SUFFIXES):
            seen.add(version.git_oid)
            yield version


def mentions(names: Iterable[Name], release: Release) -> Iterator[Mention]:
    """Every state of a text in which a name stands: its first line for each name."""
    wanted = [(name, name.pattern) for name in names]
    if not wanted:
        return
    for version, text in texts_of(release):
        for name, pattern in wanted:
            if (hit := pattern.search(text)) is not None:
                line = text.count("\n", 0, hit.start()) + 1
                yield Mention(name, version, line, text.split("\n")[line - 1].strip()[:160])
