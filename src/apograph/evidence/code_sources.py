"""The Python sources of the releases of a case: read once, within limits, as units that can be matched."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from apograph.align.code import Index
from apograph.align.code_trees import CodeTree, own_attributes, trees
from apograph.evidence.registry import Case
from apograph.findings import Message, Refusal, Unexamined
from apograph.release.code import MAX_BYTES, Module, read_module
from apograph.release.types import Content, File, Release

MAX_FILES, MAX_TOTAL = 300, 2 << 20
"""Files and bytes that are read of the reference and of the candidate."""
NEAR_FILES, NEAR_TOTAL = 80, 1 << 20
"""Files and bytes that are parsed of each base and claimed source: those that share most words."""
LATER_FILES, LATER_TOTAL = 24, 3 << 17
"""The same for the newest state of a claimed source, which is only named."""
_RANKED_FILES, _RANKED_TOTAL = 20_000, 64 << 20
"""Files and bytes among which those are chosen."""
_WORD = re.compile(rb"[A-Za-z_]\w{2,}")


@dataclass(slots=True)
class Sources:
    """What was read of one release. ``texts`` hold the lines of each source."""

    release: Release
    modules: tuple[Module, ...]
    texts: dict[str, list[str]]
    unread: tuple[Unexamined, ...]
    units: tuple[CodeTree, ...] = ()
    index: Index | None = None


class Library:
    """All sources of a case. ``own`` are the attributes that reference or candidate define."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._modules: dict[bytes, Module | Refusal] = {}
        limits = (MAX_FILES, MAX_TOTAL)
        self.reference = self._read(case.reference, "reference", limits)
        self.candidate = self._read(case.candidate, "candidate", limits)
        self.own = own_attributes((*self.reference.modules, *self.candidate.modules))
        for side in (self.reference, self.candidate):
            self._add_units(side)

    @cached_property
    def words(self) -> frozenset[bytes]:
        """Every word of the candidate's and the reference's code."""
        texts = (*self.candidate.texts.values(), *self.reference.texts.values())
        return frozenset(w for lines in texts for line in lines for w in _WORD.findall(line.encode("utf-8")))

    def other(self, release: Release, role: str, later: bool = False) -> Sources:
        """A base or a claimed source: of large ones the files that share most words with the case."""
        limits = (LATER_FILES, LATER_TOTAL) if later else (NEAR_FILES, NEAR_TOTAL)
        found = self._read(release, role, limits, self.words)
        self._add_units(found)
        found.index = Index(found.units)
        return found

    def _add_units(self, sources: Sources) -> None:
        sources.units = tuple(t for m in sources.modules for t in trees(m, self.own))

    def _read(
        self, release: Release, side: str, limits: tuple[int, int], words: Set[bytes] | None = None
    ) -> Sources:
        modules: list[Module] = []
        texts: dict[str, list[str]] = {}
        unread: list[Unexamined] = []
        chosen, left = _choose(release, limits, words)
        for file in (f for f in release.files if f.path.endswith(".py")):
            if file.content is not Content.PRESENT:
                unread.append(Unexamined("code", Message("code.absent"), side, file.path))
        if left:
            unread.append(
                Unexamined("code", Message("code.left_out", {"n": left}), side, fault=words is None, code=5)
            )
        for path, data in chosen:
            module = self.module(path, data)
            if isinstance(module, Refusal):
                reason = Unexamined("code", module.message, side, path, fault=True, code=module.code)
                unread.append(reason)
                continue
            modules.append(module)
            texts[path] = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")
            if module.gaps:
                lines = sum(last - first + 1 for first, last in module.gaps)
                unread.append(Unexamined("code", Message("code.gaps", {"n": lines}), side, path, fault=True))
        return Sources(release, tuple(modules), texts, tuple(unread))

    def module(self, path: str, data: bytes) -> Module | Refusal:
        """One source, parsed once however often it is asked for; the refusal where it cannot be."""
        key = hashlib.sha256(data).digest()
        if key not in self._modules:
            try:
                self._modules[key] = read_module(data, path)
            except Refusal as refusal:
                self._modules[key] = refusal
        known = self._modules[key]
        return replace(known, path=path) if isinstance(known, Module) else known


def _choose(
    release: Release, limits: tuple[int, int], words: Set[bytes] | None
) -> tuple[list[tuple[str, bytes]], int]:
    """The sources to parse, by path, and how many were left out."""
    files = [f for f in release.files if f.path.endswith(".py") and f.content is Content.PRESENT]
    read: Iterable[tuple[str, bytes]] = _within(release, files, _RANKED_TOTAL)
    count, total = limits
    if words is not None:
        read = list(islice(read, _RANKED_FILES))
        if len(read) > count or sum(len(d) for _, d in read) > total:
            read = _ranked(read, words)
    kept = _first(read, count, total)
    return sorted(kept), len(files) - len(kept)


def _within(release: Release, files: Iterable[File], total: int) -> Iterator[tuple[str, bytes]]:
    for file in sorted(files, key=lambda f: (f.path.count("/"), f.path)):
        data = release.read(file.path, 2 * MAX_BYTES) if total > 0 else None
        if data is not None:
            total -= len(data)
            yield file.path, data


def _first(files: Iterable[tuple[str, bytes]], count: int, total: int) -> list[tuple[str, bytes]]:
    kept: list[tuple[str, bytes]] = []
    for path, data in files:
        if len(data) <= total:
            kept.append((path, data))
            total -= len(data)
        if len(kept) == count:
            break
    return kept


def _ranked(files: list[tuple[str, bytes]], words: Set[bytes]) -> list[tuple[str, bytes]]:
    """By the words that a file shares with the case, rare ones counting more."""
    held = [words & set(_WORD.findall(data)) for _, data in files]
    common = Counter(w for ws in held for w in ws)
    scores = [sum(1 / common[w] for w in ws) for ws in held]
    order = sorted(range(len(files)), key=lambda n: (-scores[n], files[n][0]))
    return [files[n] for n in order]


def library(case: Case) -> Library:
    """The sources of a case, read at the first call (``case.shared["code.library"]``)."""
    found = case.shared.get("code.library")
    if not isinstance(found, Library):
        found = case.shared["code.library"] = Library(case)
    return found
