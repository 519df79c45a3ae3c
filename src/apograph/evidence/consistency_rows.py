"""Findings of the consistency channel and the rows of their tables."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from apograph.align.fit import Fit
from apograph.findings import Bearing, Exhibit, Finding, Json, Location, Measure, Message, Param, Side
from apograph.release.types import Release

MOST_ROWS = 60
ALTERNATIVES = tuple(Message(f"consistency.alternative.{k}") for k in ("unfinished", "apart", "fork"))
LIMITS = (Message("consistency.limit.static"),)


def finding(
    kind: str,
    side: Side,
    params: dict[str, Param],
    *,
    rows: list[list[Json]] | None = None,
    columns: tuple[str, ...] = (),
    locations: tuple[Location, ...] = (),
    bearing: Bearing = Bearing.SUPPORTING,
    measures: tuple[Measure, ...] = (),
    arrow: Side | None = None,
) -> Finding:
    """A finding of this channel about one side, with a table of its particulars."""
    exhibits: tuple[Exhibit, ...] = ()
    if rows:
        caption = Message(f"consistency.caption.{kind}", {"side": side})
        headings = [f"consistency.{c}" for c in columns]
        exhibits = (Exhibit("table", {"columns": headings, "rows": rows}, caption),)
    innocent = () if kind == "fits" else ALTERNATIVES
    return Finding(
        id=f"consistency.{kind}:{side}",
        channel="consistency",
        message=Message(f"consistency.{kind}", {"side": side, **params}),
        bearing=bearing,
        measures=measures,
        exhibits=exhibits,
        locations=locations,
        alternatives=innocent,
        limits=LIMITS,
        arrow=arrow,
    )


def fault_row(fault: dict[str, Any]) -> list[Json]:
    """Place, reason in words, and when it fails."""
    params = {"name": fault["name"], "detail": fault["detail"]}
    return [
        f"{fault['path']}:{fault['line']}" if fault["line"] else fault["path"],
        {"key": f"consistency.reason.{fault['kind']}", "params": params},
        {"key": f"consistency.when.{fault['when']}", "params": {}},
    ]


def location(side: str, release: Release, row: dict[str, Any]) -> Location:
    """Where a row's line stands."""
    line = int(row["line"]) or None
    return Location(side, str(row["path"]), release.revision, line, line)


def misfit_rows(own: Fit) -> list[list[Json]]:
    """What does not answer, numbers folded: (names, in the code, in the checkpoint)."""
    rows: list[list[Json]] = [[f"{prefix}*", length, stored] for prefix, length, stored in own.lists]
    rows += [[name, _shape(code), _shape(stored)] for name, code, stored in own.shapes[:MOST_ROWS]]
    rows += [[pattern, count, None] for pattern, count in _folded(own.absent)]
    rows += [[pattern, None, count] for pattern, count in _folded(own.extra)]
    return rows[: 2 * MOST_ROWS]


def prefixes(names: tuple[str, ...]) -> str:
    """The first parts of names with their numbers, as text: ``vison.* (437), projection.* (15)``."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{prefix}.* ({count})" for prefix, count in counts.most_common(6))


def _folded(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return Counter(re.sub(r"(?<=\.)\d+(?=\.)", "{n}", name) for name in names).most_common(MOST_ROWS)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "1"
