"""Matched code as exhibits: pairs side by side, the table of all pairs, the map of names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apograph.align.code_explain import explained_lines
from apograph.align.code_trees import CodeTree
from apograph.evidence.code_analysis import Analysis, Row
from apograph.evidence.code_sources import Sources
from apograph.findings import Exhibit, Json, Location, Message

PAIRS = 16
MAX_LINES = 120
MAX_NAMES = 40
MAX_ROWS = 400
_LONGEST_LINE = 300


def locations(analysis: Analysis, row: Row) -> Iterator[Location]:
    """Where the two units of a pair stand."""
    for side, sources, tree in _sides(analysis, row):
        unit = tree.unit
        yield Location(side, tree.path, sources.release.revision, unit.start, unit.end)


def _sides(analysis: Analysis, row: Row) -> Iterator[tuple[str, Sources, CodeTree]]:
    yield "reference", analysis.reference, row.match.left
    yield "candidate", analysis.candidate, row.match.right


def code_pair(analysis: Analysis, row: Row) -> Exhibit:
    """Two functions side by side (exhibit kind ``code_pair``)."""
    names = row.match.names()
    explained = analysis.explained
    shown = [_text(sources, tree, side) for side, sources, tree in _sides(analysis, row)]
    spans = [range(s["start"], s["start"] + len(s["lines"])) for s in shown]
    data: dict[str, Json] = {
        "left": shown[0],
        "right": shown[1],
        "pairs": [[a, b] for a, b in row.match.lines() if a in spans[0] and b in spans[1]],
        "renamed": [[a, b] for a, b, _ in names.renamed if a != b][:MAX_NAMES],
        "explained_left": explained_lines(row.match.left, explained[0].get(row.match.left)),
        "explained_right": explained_lines(row.match.right, explained[1].get(row.match.right)),
        "similarity": round(row.match.similarity, 4),
        "consistency": round(names.consistency, 4),
    }
    params = {"reference": row.match.left.unit.name, "candidate": row.match.right.unit.name}
    return Exhibit("code_pair", data, Message("code.functions.pair", params))


def _text(sources: Sources, tree: CodeTree, side: str) -> dict[str, Any]:
    start = tree.unit.start
    lines = sources.texts[tree.path][start - 1 : min(tree.unit.end, start + MAX_LINES - 1)]
    return {
        "side": side,
        "path": tree.path,
        "revision": sources.release.revision,
        "start": start,
        "lines": [line[:_LONGEST_LINE] for line in lines],
    }


def pair_table(analysis: Analysis) -> Exhibit:
    """Every matched pair, with what is explained otherwise."""
    rows = [
        [
            _name(row.match.right),
            _name(row.match.left),
            round(row.match.similarity, 2),
            round(row.match.right_coverage, 2),
            round(row.match.left_coverage, 2),
            round(row.shared),
            round(row.explained),
            round(row.own),
        ]
        for row in analysis.rows[:MAX_ROWS]
    ]
    keys = ("candidate", "reference", "similarity", "covered", "covering", "bits", "explained", "own")
    columns = [f"code_{key}" for key in keys]
    caption = Message("code.functions.table", {"n": len(analysis.rows)})
    shares = ["code_covered", "code_covering"]
    return Exhibit("table", {"columns": columns, "rows": rows, "shares": shares}, caption)


def _name(tree: CodeTree) -> str:
    return f"{tree.path}:{tree.unit.start} {tree.unit.name}"


def name_table(analysis: Analysis) -> Exhibit | None:
    """Names that differ and answer each other, the commonest first."""
    renamed = [[a, b, n] for a, b, n in analysis.names.renamed if a != b]
    if not renamed:
        return None
    columns = ["code_reference_name", "code_candidate_name", "code_occurrences"]
    data = {"columns": columns, "rows": renamed[:MAX_ROWS]}
    return Exhibit("table", data, Message("code.functions.names", {"n": len(renamed)}))
