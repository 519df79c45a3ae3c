"""Pickles that name functions or classes beyond those which lay out a saved tensor. They are read as data."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import Exhibit, Finding, Location, Measure, Message, Side, Strength
from apograph.release.types import Release


@examiner("files", needs=Part.FILES)
def foreign_globals(case: Case) -> Iterator[Finding]:
    """One finding for each side that has such a pickle; it says nothing about the relation of the two."""
    sides: tuple[tuple[Side, Release], ...] = (("reference", case.reference), ("candidate", case.candidate))
    for side, release in sides:
        if release.foreign:
            yield _finding(side, release)


def _finding(side: Side, release: Release) -> Finding:
    rows = [[path, name] for path, names in release.foreign.items() for name in names]
    params = {"side": side, "n": len(rows), "files": len(release.foreign), "name": rows[0][1]}
    return Finding(
        id=f"files.foreign_globals:{side}",
        channel="files",
        message=Message("files.foreign_globals.some", params),
        strength=Strength("none"),
        measures=(Measure("files.foreign", len(rows)),),
        exhibits=(
            Exhibit("table", {"columns": ["file", "global"], "rows": rows}, Message("files.foreign_caption")),
        ),
        locations=tuple(Location(side, path, release.revision) for path in release.foreign),
        alternatives=(Message("files.alternative.trainer"),),
    )
