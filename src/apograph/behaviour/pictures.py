"""A report on answers with the items' pictures in its tables of errors."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from apograph.behaviour.items import media_type, read_image, read_items
from apograph.findings import Exhibit, Report

SMALL = 32_768
"""Bytes: larger pictures are left out."""


def small_pictures(items: Path) -> dict[str, str]:
    """Base64 of the first picture of each item of a file, by the item's name; small PNGs only."""
    found = {}
    for item in read_items(items):
        for image in item["images"][:1]:
            data = read_image(items.parent, image)
            if len(data) <= SMALL and media_type(data) == "image/png":
                found[item["item"]] = base64.b64encode(data).decode()
    return found


def illustrated(report: Report, pictures: Mapping[str, str]) -> Report:
    """The report with a picture before the name of every item that has one, in tables with an item a row."""
    findings = (
        dataclasses.replace(finding, exhibits=tuple(_illustrated(e, pictures) for e in finding.exhibits))
        for finding in report.findings
    )
    return dataclasses.replace(report, findings=tuple(findings))


def _illustrated(exhibit: Exhibit, pictures: Mapping[str, str]) -> Exhibit:
    columns = exhibit.data.get("columns", [])
    if exhibit.kind != "table" or columns[:1] != ["answers.item"]:
        return exhibit
    rows = [
        [{"png": pictures[row[0]], "label": row[0]} if row[0] in pictures else None, *row]
        for row in exhibit.data["rows"]
    ]
    data = {**exhibit.data, "columns": ["answers.picture", *columns], "rows": rows}
    return Exhibit(exhibit.kind, data, exhibit.caption)
