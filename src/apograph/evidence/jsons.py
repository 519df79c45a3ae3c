"""JSON values compared leaf by leaf, and the states of a file whose values are nearest to a given one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from apograph.findings import Json, Refusal
from apograph.release import sandbox
from apograph.release.types import Release, Version

Path: TypeAlias = tuple[str | int, ...]
MAX_STATES = 200
MAX_BYTES = 8 << 20
SHOWN = 120


def leaves(value: Json) -> dict[Path, Json]:
    """Every scalar and every empty object or list, by its path (keys as text, places in lists as numbers)."""
    found: dict[Path, Json] = {}
    stack: list[tuple[Path, Json]] = [((), value)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict) and node:
            stack += [((*path, key), entry) for key, entry in reversed(node.items())]
        elif isinstance(node, list) and node:
            stack += [((*path, place), entry) for place, entry in reversed(list(enumerate(node)))]
        else:
            found[path] = node
    return found


def dotted(path: Path) -> str:
    """A path as people write it: ``vision_config.hidden_size``, ``architectures[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def canonical(leaf: Json) -> str:
    """A leaf as text that is equal for equal JSON: for 1 and 1.0, not for 1 and true."""
    whole = isinstance(leaf, float) and leaf.is_integer()
    return json.dumps(int(leaf) if whole else leaf)  # type: ignore[arg-type]


def same(a: Json, b: Json) -> bool:
    """Whether two leaves are equal as JSON."""
    return canonical(a) == canonical(b)


def differing(a: Mapping[Path, Json], b: Mapping[Path, Json]) -> Iterator[Path]:
    """Paths whose leaf is missing on one side or not the same."""
    for path in a.keys() | b.keys():
        if path not in a or path not in b or not same(a[path], b[path]):
            yield path


def json_distance(a: Json, b: Json) -> int:
    """The number of leaves that differ: changed, or missing on one side. 0 = equal whatever the formatting
    and the order of keys."""
    return sum(1 for _ in differing(leaves(a), leaves(b)))


def nearest_versions(release: Release, path: str, value: Json) -> tuple[tuple[Version, int], ...]:
    """Every readable state of the JSON file ``path`` in the whole history with its distance from ``value``,
    nearest first, then oldest first; of equal contents each interval is listed. At most the newest
    ``MAX_STATES`` states are read, in the confined worker."""
    if release.history is None:
        return ()
    wanted = leaves(value)
    distances: dict[str, int | None] = {}
    found: list[tuple[Version, int]] = []
    states = sorted((v for v in release.history.versions if v.path == path), key=lambda v: v.since)
    for version in states[-MAX_STATES:]:
        if version.git_oid not in distances:
            state = read_json(release.blob(version.git_oid, MAX_BYTES), path)
            distances[version.git_oid] = None if state is None else _count(leaves(state[0]), wanted)
        distance = distances[version.git_oid]
        if distance is not None:
            found.append((version, distance))
    return tuple(sorted(found, key=lambda f: (f[1], f[0].since)))


def _count(a: Mapping[Path, Json], b: Mapping[Path, Json]) -> int:
    return sum(1 for _ in differing(a, b))


def read_json(content: bytes | None, path: str) -> tuple[Json] | None:
    """The value in a one-tuple; None when the content is absent or no strict JSON."""
    if content is None:
        return None
    try:
        return (sandbox.call("apograph.release.json_text:parse_json", content, path),)
    except Refusal:
        return None


def shown(value: Json) -> str:
    """A leaf as a short text for a table."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
