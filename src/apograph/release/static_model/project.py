"""All Python files of a release together: which file an import means, where a name is defined."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apograph.release.static_model.source import FunctionNode, Import, Source

DEEPEST_REEXPORT = 12


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name means: a definition in the release, or something outside of it.

    kind: "class", "function", "value" (an expression), "module" or "external"; ``dotted`` is the full name of
    something external, or the path of a module of the release.
    """

    kind: str
    source: Source | None = None
    node: ast.ClassDef | FunctionNode | ast.expr | None = None
    dotted: str = ""


class Project:
    """The parsed sources by path, and the names of all files (also of those whose content is absent)."""

    def __init__(self, sources: Mapping[str, Source], paths: Iterable[str]) -> None:
        self.sources = sources
        self.paths = frozenset(paths) | sources.keys()
        self.ancestries: dict[int, Any] = {}
        """What ``members.ancestry`` found, by the identity of the class's node."""
        self._folders = {p.rpartition("/")[0] for p in self.paths}
        self._stems = {_stem(p) for p in self.paths}

    @cached_property
    def stored_attributes(self) -> frozenset[str]:
        """Every attribute name that any file assigns on any object."""
        names: set[str] = set()
        for source in self.sources.values():
            for node in source.nodes:
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                    names.add(node.attr)
        return frozenset(names)

    @cached_property
    def extended(self) -> frozenset[str]:
        """Names of the classes that some class of the release extends."""
        names: set[str] = set()
        for source in self.sources.values():
            for node in source.nodes:
                if isinstance(node, ast.ClassDef):
                    names.update(getattr(b, "id", "") or getattr(b, "attr", "") for b in node.bases)
        return frozenset(names)

    def module(self, source: Source, entry: Import) -> tuple[str, bool]:
        """The path of an import's module in the release, without suffix, and whether it must exist there.

        A relative import that climbs out of what the release shows to be a package means something outside.
        """
        parts = source.folder.split("/") if source.folder else []
        if entry.level == 0:
            path = "/".join([*parts, *entry.module.split(".")])
            return path, False
        climb = entry.level - 1
        if climb > len(parts):
            return "", False
        folder = "/".join(parts[: len(parts) - climb])
        inside = climb == 0 or _join(folder, "__init__.py") in self.paths
        return _join(folder, entry.module.replace(".", "/")) if entry.module else folder, inside

    def exists(self, module: str) -> bool:
        """Whether a module path (without suffix) is a file of any suffix, or a folder, of the release."""
        return module in self._stems or module in self._folders or module == ""

    def source_of(self, module: str) -> Source | None:
        """The parsed file of a module path."""
        return self.sources.get(f"{module}.py") or self.sources.get(_join(module, "__init__.py"))

    def resolve(self, source: Source, name: str, depth: int = 0) -> Symbol | None:
        """What ``name`` means at the top level of ``source``; None when the file does not bind it."""
        if name in source.classes:
            return Symbol("class", source, source.classes[name])
        if name in source.functions:
            return Symbol("function", source, source.functions[name])
        if name in source.assigned:
            return Symbol("value", source, source.assigned[name])
        if name in source.imported:
            return self.target(source, source.imported[name], depth)
        for star in source.stars:
            module, _ = self.module(source, star)
            other = self.source_of(module)
            if other is not None and depth < DEEPEST_REEXPORT:
                found = self.resolve(other, name, depth + 1)
                if found is not None:
                    return found
        return None

    def target(self, source: Source, entry: Import, depth: int = 0) -> Symbol:
        """What an import statement binds."""
        module, _ = self.module(source, entry)
        other = self.source_of(module)
        dotted = f"{'.' * entry.level}{entry.module}"
        if entry.name is None:
            return Symbol("module", other, dotted=module) if other else Symbol("external", dotted=dotted)
        if other is not None and depth < DEEPEST_REEXPORT:
            found = self.resolve(other, entry.name, depth + 1)
            if found is not None:
                return found
        below = self.source_of(_join(module, entry.name))
        if below is not None:
            return Symbol("module", below, dotted=_join(module, entry.name))
        return Symbol("external", dotted=f"{dotted}.{entry.name}")

    def closure(self, starts: Iterable[str]) -> list[Source]:
        """The files reached by imports from these, in the order of discovery."""
        queue = [self.sources[p] for p in starts if p in self.sources]
        seen: dict[str, Source] = {}
        while queue:
            source = queue.pop(0)
            if source.path in seen:
                continue
            seen[source.path] = source
            for entry in source.imports:
                module, _ = self.module(source, entry)
                for candidate in (module, _join(module, entry.name or "")):
                    other = self.source_of(candidate)
                    if other is not None:
                        queue.append(other)
        return list(seen.values())


def _stem(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return _join(folder, name.split(".")[0])


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name
