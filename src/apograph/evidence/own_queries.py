"""How many image queries code, configuration and checkpoint each speak of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apograph.evidence.consistency_rows import finding
from apograph.evidence.own_code import config_path
from apograph.findings import Finding, Json, Location, Measure, Side
from apograph.release.static_model.uses import QUERY_NAMES
from apograph.release.types import Release

STORED_NAMES = ("query", "queries", "query_tokens", "latents", "query_embed")
Row = tuple[str, int, str, int, bool]
"""place, line (0 if none), name, value, whether it counts (a default that config.json replaces does not)"""


def queries(side: Side, release: Release, code: dict[str, Any]) -> Iterator[Finding]:
    """A finding when numbers that should be one differ."""
    rows = query_rows(release, code)
    deciding = [r for r in rows if r[4]]
    values = {r[3] for r in deciding}
    if len(values) < 2:
        return
    told = next((r for r in rows if r[0] == config_path(release)), deciding[0])
    other = next(r for r in deciding if r[3] != told[3])
    table: list[list[Json]] = [
        [f"{r[0]}:{r[1]}" if r[1] else r[0], r[2], r[3], _note(r, r[3] == told[3])] for r in rows
    ]
    yield finding(
        "queries",
        side,
        {"code": other[3], "place": other[0], "config": told[3], "told": told[0]},
        rows=table,
        columns=("place", "name", "queries", "note"),
        locations=tuple(
            Location(side, r[0], release.revision, r[1] or None, r[1] or None) for r in rows if r[0]
        ),
        measures=(Measure("queries_in_code", other[3]), Measure("queries_in_configuration", told[3])),
    )


def query_rows(release: Release, code: dict[str, Any]) -> list[Row]:
    """Every statement of the number of queries that the release makes."""
    rows: list[Row] = []
    for path, config in release.configs.items():
        rows += [(path, 0, name, value, True) for name, value in _in_json(config)]
    told = bool(rows)
    rows += [
        (r["path"], r["line"], f"{r['callee']}({r['name']}=)", r["value"], True) for r in code["queries"]
    ]
    rows += [(r["path"], r["line"], r["name"], r["value"], not told) for r in code["query_defaults"]]
    if release.tensors is not None:
        for entry in release.tensors.entries:
            if entry.name.rpartition(".")[2] in STORED_NAMES and entry.shape and len(entry.shape) in (2, 3):
                rows.append((entry.file, 0, entry.name, entry.shape[-2], True))
    return rows


def _in_json(value: Json, depth: int = 0) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict) and depth < 6:
        for key, item in value.items():
            if key in QUERY_NAMES and isinstance(item, int) and not isinstance(item, bool):
                yield key, item
            else:
                yield from _in_json(item, depth + 1)


def _note(row: Row, agrees: bool) -> Json:
    kind = "replaced" if not row[4] else "agrees" if agrees else "differs"
    return {"key": f"consistency.note.{kind}", "params": {}}
