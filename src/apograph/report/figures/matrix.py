"""A square of values between models, as shades."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import cell, first, more
from apograph.report.markup import element, join

_MOST = 60
_SHOWN = 9


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """A table whose cells are shaded from ``low`` to ``high``; at most 60 models, numbered in the head."""
    labels, values, left = _square(data, _MOST)
    low, high = float(data["low"]), float(data["high"])
    head = element("tr", element("td"), *(element("th", n + 1, scope="col") for n in range(len(labels))))
    body = []
    for n, label in enumerate(labels):
        name = element("th", f"{n + 1} {cell(label, lang, 60)}", scope="row")
        cells = []
        for m, value in enumerate(values[n]):
            if n == m:
                cells.append(element("td", "·", class_="self"))
            else:
                tint = shade(value, low, high)
                told = "" if value is None else f"{value:.2f}"
                hint = f"{cell(label, lang, 60)} – {cell(labels[m], lang, 60)}: {told or '–'}"
                cells.append(element("td", told, class_=f"shade{tint}", title=hint))
        body.append(element("tr", name, *cells))
    table = element("table", element("thead", head), element("tbody", *body), class_="matrix square")
    rest = element("p", more(left, lang), class_="more") if left else None
    return join(element("div", table, class_="scroll", tabindex="0", role="group"), rest)


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """One line per model (9 of them), its values in columns."""
    labels, values, left = _square(data, _SHOWN)
    names = [f"{n + 1} {cell(label, lang, 14)}" for n, label in enumerate(labels)]
    breadth = max((len(name) for name in names), default=0)
    lines = [" " * breadth + "".join(f"{n + 1:>5}" for n in range(len(labels)))]
    for n, name in enumerate(names):
        told = ("·" if n == m else "–" if v is None else _figure(v) for m, v in enumerate(values[n]))
        lines.append(name.ljust(breadth) + "".join(f"{value:>5}" for value in told))
    return [*lines, more(left, lang)] if left else lines


def _figure(value: float) -> str:
    """Two decimals in at most four signs from -1 to 1: -.05, never -0.00."""
    return f"{value:z.2f}".replace("-0.", "-.")


def _square(data: Mapping[str, Any], most: int) -> tuple[Sequence[Any], list[list[float | None]], int]:
    labels, left = first(data["labels"], most)
    rows, _ = first(data["values"], len(labels))
    values = [[None if v is None else float(v) for v in first(row, len(labels))[0]] for row in rows]
    if len(values) != len(labels) or any(len(row) != len(labels) for row in values):
        raise ValueError("not a square")
    if any(v is not None and not math.isfinite(v) for row in values for v in row):
        raise ValueError("not a number")
    return labels, values, left


def shade(value: float | None, low: float, high: float) -> int:
    """0 to 9, by tenths of the range; 0 for an absent value."""
    if value is None or high <= low:
        return 0
    return min(9, max(0, int(10 * (value - low) / (high - low))))
