"""The truth about a set of releases: ``manifest.json``, and the relation of any two of them read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apograph.findings import Json, Message, Refusal, Relation
from apograph.lab.recipes import Parent, Recipe, Step
from apograph.release.safetensors_writer import put

SAME = ("renamed",)
"""Manipulations that leave every value as it is."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Recipes and what making showed (losses, seconds, change of the logits, names), by release."""

    recipes: Mapping[str, Recipe]
    records: Mapping[str, Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class Truth:
    """How two releases are related.

    ``relation`` is a fact, not what an examination can reach: without a base given, a copy may at best be
    called "common origin". ``source`` names the release that was there first, where one descends from the
    other. ``bases`` are releases whose weights both hold, nearest first, neither of the two among them.
    ``shared``: patterns of the only tensors that they have in common ("" for all). ``shown``: one was made in
    view of the other without its weights (distilled, framed), or holds a planted fraction of it.
    """

    relation: Relation
    source: str | None = None
    bases: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    shown: bool = False


def write_manifest(folder: Path, recipes: Sequence[Recipe]) -> None:
    """Write ``manifest.json`` of the finished ones of ``recipes``; what it lists from other plans is kept."""
    try:
        known = dict(read_manifest(folder).recipes)
    except OSError:
        known = {}
    releases = {}
    for recipe in (known | {r.name: r for r in recipes}).values():
        record = folder / "records" / f"{recipe.name}.json"
        if record.exists():
            releases[recipe.name] = asdict(recipe) | {"record": json.loads(record.read_text())}
    text = json.dumps({"format": 1, "releases": releases}, indent=1)
    put(str(folder / "manifest.json"), (text + "\n").encode())


def read_manifest(folder: Path) -> Manifest:
    """Raises OSError when there is none, Refusal 4 for one that ``write_manifest`` has not written."""
    path = folder / "manifest.json"
    data = path.read_bytes()
    recipes, records = {}, {}
    try:
        for name, entry in json.loads(data)["releases"].items():
            recipes[name], records[name] = _recipe(name, entry), dict(entry["record"])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise Refusal(4, Message("cli.lab.measure.bad_manifest"), str(path)) from None
    return Manifest(recipes, records)


def _recipe(name: str, entry: Mapping[str, Any]) -> Recipe:
    if entry["name"] != name or not isinstance(entry["seed"], int):
        raise ValueError(name)
    fields = {k: v for k, v in entry.items() if k != "record"}
    fields["parents"] = tuple(Parent(**p) for p in fields["parents"])
    fields["steps"] = tuple(Step(**s) for s in fields["steps"])
    return Recipe(**fields)


def truth(manifest: Manifest, a: str, b: str) -> Truth:
    """The relation of two releases. Raises KeyError for one that the manifest lacks."""
    up = {name: _ancestors(manifest, name) for name in (a, b)}
    shown = _shown(manifest, a, b) or _shown(manifest, b, a)
    for source, child in ((a, b), (b, a)):
        if source in up[child] and source != child:
            bases = tuple(n for n in up[child] if n in up[source] and n != source)
            return Truth(_descent(manifest, source, child), source, bases, up[child][source])
    common = tuple(n for n in up[a] if n in up[b])
    if a == b:
        return Truth("identical", bases=tuple(n for n in common if n != a))
    if common:
        parts = [(*up[a][n], *up[b][n]) for n in common]
        shared = tuple(dict.fromkeys(p for part in parts for p in part)) if all(parts) else ()
        return Truth("common ancestor", None, common, shared, shown)
    if _starts(manifest, up[a]) & _starts(manifest, up[b]):
        return Truth("same initialisation or derivative", shown=shown)
    return Truth("independent", shown=shown)


def _ancestors(manifest: Manifest, name: str) -> dict[str, tuple[str, ...]]:
    """Releases whose weights ``name`` holds, itself first, nearest next; with the patterns of the tensors to
    which that is limited (empty: all)."""
    found: dict[str, tuple[str, ...]] = {name: ()}
    waiting = [name]
    while waiting:
        child = waiting.pop(0)
        for parent in manifest.recipes[child].parents:
            if parent.inherits != "shown" and parent.name not in found:
                own = (parent.pattern,) if parent.inherits == "part" else ()
                found[parent.name] = (*found[child], *own)
                waiting.append(parent.name)
    return found


def _descent(manifest: Manifest, source: str, child: str) -> Relation:
    """identical, merge or copy: by what lies between the two."""
    path, steps = [child], []
    mixed = False
    while path:
        recipe = manifest.recipes[path.pop()]
        if recipe.name == source or source not in _ancestors(manifest, recipe.name):
            continue
        steps += [step.name for step in recipe.steps] or ["trained"]
        mixed |= sum(p.inherits == "weights" for p in recipe.parents) > 1
        path += [p.name for p in recipe.parents if p.inherits != "shown"]
    if mixed:
        return "merge"
    return "identical" if all(step in SAME for step in steps) else "copy or derivative"


def _shown(manifest: Manifest, child: str, source: str) -> bool:
    """Whether ``child`` or something that it descends from was made in view of ``source`` or its kin."""
    return any(
        parent.inherits == "shown"
        and set(_ancestors(manifest, parent.name)) & set(_ancestors(manifest, source))
        for name in _ancestors(manifest, child)
        for parent in manifest.recipes[name].parents
    )


def _starts(manifest: Manifest, names: Mapping[str, tuple[str, ...]]) -> set[int]:
    """The seeds of the initial weights that are still in a release: all widths of one family draw alike."""
    return {manifest.recipes[n].seed for n in names if manifest.recipes[n].trained}
