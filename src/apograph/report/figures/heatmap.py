"""A rectangle of values, such as layers by components, as shades."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import LINES, ROWS, cell, first
from apograph.report.figures.matrix import shade
from apograph.report.markup import element, join
from apograph.report.words import percent, say

_COLUMNS = 24


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """A table whose cells are shaded from ``low`` to ``high`` and tell their value, or their text."""
    rows, columns, values, told, left = _rectangle(data, ROWS, lang)
    low, high = float(data["low"]), float(data["high"])
    head = element(
        "tr", element("td"), *(element("th", _broken(cell(c, lang, 40)), scope="col") for c in columns)
    )
    body = [
        element(
            "tr",
            element("th", cell(row, lang, 80), scope="row"),
            *(
                element("td", text, class_=f"shade{shade(value, low, high)}")
                for value, text in zip(line, words, strict=True)
            ),
        )
        for row, line, words in zip(rows, values, told, strict=True)
    ]
    table = element("table", element("thead", head), element("tbody", *body), class_="matrix")
    rest = element("p", left, class_="more") if left else None
    return join(element("div", table, class_="scroll", tabindex="0", role="group"), rest)


def _broken(name: str) -> Markup:
    """A name that may be broken after its dots, so that many columns fit."""
    first, *others = name.split(".")
    return join(first, *(join(".", element("wbr"), part) for part in others))


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """The columns' names, then a line for each row (12 of them)."""
    rows, columns, _, told, left = _rectangle(data, LINES, lang)
    table = [["", *(cell(c, lang, 20) for c in columns)]]
    table += [[cell(row, lang, 40), *words] for row, words in zip(rows, told, strict=True)]
    breadths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    lines = ["  ".join(t.ljust(b) for t, b in zip(line, breadths, strict=True)).rstrip() for line in table]
    return [*lines, left] if left else lines


def _rectangle(
    data: Mapping[str, Any], most: int, lang: str
) -> tuple[Sequence[Any], Sequence[Any], list[list[float | None]], list[list[str]], str]:
    """What is drawn, and in words how many rows and columns are not."""
    rows, below = first(data["rows"], most)
    columns, beside = first(data["columns"], _COLUMNS)
    lines, _ = first(data["values"], len(rows))
    values = [[None if v is None else float(v) for v in first(line, len(columns))[0]] for line in lines]
    if len(values) != len(rows) or any(len(line) != len(columns) for line in values):
        raise ValueError("not a rectangle")
    if any(v is not None and not math.isfinite(v) for line in values for v in line):
        raise ValueError("not a number")
    share = data.get("unit") == "share"
    told = [
        ["–" if v is None else percent(v, ".0%") if share else f"{v:.3g}" for v in line] for line in values
    ]
    if data.get("texts") is not None:
        told = [
            [cell(t, lang, 40) for t in first(line, len(columns))[0]] for line in data["texts"][: len(rows)]
        ]
        if len(told) != len(rows) or any(len(line) != len(columns) for line in told):
            raise ValueError("texts that do not fit")
    left = [say(f"report.more_{name}", lang, n=n) for name, n in (("rows", below), ("columns", beside)) if n]
    return rows, columns, values, told, "; ".join(left)
