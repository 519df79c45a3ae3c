"""A table of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import LINES, ROWS, cell, first, heading, more
from apograph.report.figures.picture import picture
from apograph.report.markup import element, join

_COLUMNS = 12


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """Rows under their headings; a narrow screen scrolls the table by itself."""
    columns, _ = first(data["columns"], _COLUMNS)
    rows, left = first(data["rows"], ROWS)
    head = element("tr", *(element("th", heading(c, lang), scope="col") for c in columns))
    body = [
        element("tr", *(element("td", picture(v) or cell(v, lang)) for v in first(row, len(columns))[0]))
        for row in rows
    ]
    table = element("table", element("thead", head), element("tbody", *body))
    return join(element("div", table, class_="scroll", tabindex="0", role="group"), _more(left, lang))


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """One line per row, cells in columns of even breadth."""
    rows, left = first(data["rows"], LINES)
    lines = [[heading(c, lang) for c in first(data["columns"], _COLUMNS)[0]]]
    lines += [[cell(v, lang, 60) for v in first(row, len(lines[0]))[0]] for row in rows]
    breadth = [max(len(line[n]) if n < len(line) else 0 for line in lines) for n in range(len(lines[0]))]
    told = ["  ".join(text.ljust(breadth[n]) for n, text in enumerate(line)).rstrip() for line in lines]
    return [*told, more(left, lang)] if left else told


def _more(left: int, lang: str) -> Markup | None:
    return element("p", more(left, lang), class_="more") if left else None
