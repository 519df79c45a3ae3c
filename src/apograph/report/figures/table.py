"""A table of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import LINES, LONGEST, ROWS, cell, first, heading, more
from apograph.report.figures.picture import picture
from apograph.report.markup import element, join
from apograph.report.words import percent

_COLUMNS = 12


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """Rows under their headings; a narrow screen scrolls the table by itself."""
    columns, _ = first(data["columns"], _COLUMNS)
    rows, left = first(data["rows"], ROWS)
    head = element("tr", *(element("th", heading(c, lang), scope="col") for c in columns))
    body = [
        element("tr", *(_cell(v, text) for v, text in zip(first(row, len(columns))[0], told, strict=True)))
        for row, told in zip(rows, _texts(data, rows, len(columns), lang), strict=True)
    ]
    table = element("table", element("thead", head), element("tbody", *body))
    return join(element("div", table, class_="scroll", tabindex="0", role="group"), _more(left, lang))


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """One line per row, cells in columns of even breadth."""
    rows, left = first(data["rows"], LINES)
    lines = [[heading(c, lang) for c in first(data["columns"], _COLUMNS)[0]]]
    lines += _texts(data, rows, len(lines[0]), lang, 60)
    breadth = [max(len(line[n]) if n < len(line) else 0 for line in lines) for n in range(len(lines[0]))]
    told = ["  ".join(text.ljust(breadth[n]) for n, text in enumerate(line)).rstrip() for line in lines]
    return [*told, more(left, lang)] if left else told


def _texts(
    data: Mapping[str, Any], rows: Sequence[Any], breadth: int, lang: str, limit: int = LONGEST
) -> list[list[str]]:
    """The cells as text; fractions below a heading in ``shares`` in per cent."""
    shares = [column in data.get("shares", ()) for column in data["columns"]]
    return [
        [
            percent(v, ".0%") if share and isinstance(v, float) else cell(v, lang, limit)
            for v, share in zip(first(row, breadth)[0], shares, strict=False)
        ]
        for row in rows
    ]


def _cell(value: Any, text: str) -> Markup:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return element("td", picture(value) or text, class_="value" if number else None)


def _more(left: int, lang: str) -> Markup | None:
    return element("p", more(left, lang), class_="more") if left else None
