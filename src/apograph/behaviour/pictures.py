"""A report on answers with the items' pictures in its tables of errors."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

from apograph.behaviour.items import media_type, read_image, read_items
from apograph.findings import Exhibit, Report

SMALL = 32_768
"""Bytes of a picture in a report."""
ACROSS = 160
"""Pixels to which larger pictures are made small, where Pillow is installed; without it they are left out."""
MAX_PIXELS = 100_000_000


def small_pictures(items: Path) -> dict[str, str]:
    """Base64 of the first picture of each item of a file, by the item's name, as a PNG."""
    found = {}
    for item in read_items(items):
        for image in item["images"][:1]:
            data: bytes | None = read_image(items.parent, image)
            if data is not None and (len(data) > SMALL or media_type(data) != "image/png"):
                data = _made_small(data)
            if data is not None:
                found[item["item"]] = base64.b64encode(data).decode()
    return found


def _made_small(data: bytes) -> bytes | None:
    """At most ``ACROSS`` pixels across and 128 colours: below ``SMALL`` whatever it shows. None where Pillow
    is missing or the picture cannot be read."""
    try:
        from PIL import Image
    except ImportError:
        return None
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "GIF", "WEBP")) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.draft("RGB", (ACROSS, ACROSS))
            shown = image.convert("RGB")
        shown.thumbnail((ACROSS, ACROSS))
        shown.quantize(128).save(out, "PNG", optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return out.getvalue()


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
