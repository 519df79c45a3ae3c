"""What the figures share: text of untrusted values, and saying how much was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from apograph.findings import Message
from apograph.report.escape import visible
from apograph.report.sentence import sentence
from apograph.report.words import catalogue, say

T = TypeVar("T")

ROWS = 200
"""Rows of a figure on the page."""
LINES = 12
"""Lines of a figure on the terminal."""
LONGEST = 300
"""Characters of one cell."""
_YEAR_10000 = 253402300800


def cell(value: Any, lang: str, limit: int = LONGEST) -> str:
    """A value of a cell: numbers as they are (long fractions in four digits), a message as its sentence."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return say("report.yes" if value else "report.no", lang)
    if isinstance(value, Mapping) and isinstance(value.get("png"), str):
        return visible(str(value.get("label", "")), limit)
    if isinstance(value, Mapping) and isinstance(value.get("key"), str):
        params = value.get("params")
        return visible(
            sentence(Message(value["key"], params if isinstance(params, Mapping) else {}), lang), limit
        )
    if isinstance(value, float) and 0 < abs(value) < 1 and len(repr(value)) > 8:
        return f"{value:.4g}"
    return visible(str(value), limit)


def heading(column: Any, lang: str) -> str:
    """A column's heading: the catalogue's word for it, or its own text."""
    name = str(column)
    return catalogue(lang).get(f"column.{name}", visible(name, 60))


def first(items: Sequence[T], limit: int) -> tuple[Sequence[T], int]:
    """At most ``limit`` items, and how many are left out."""
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise TypeError("a list was expected")
    return items[:limit], max(0, len(items) - limit)


def more(n: int, lang: str) -> str:
    """ "and N more", or nothing."""
    return say("report.more", lang, n=n) if n > 0 else ""


def day(seconds: Any) -> str:
    """Seconds since 1970 UTC as a date, kept between the years 1970 and 9999."""
    moment = min(max(float(seconds), 0.0), _YEAR_10000 - 1.0)
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def commit(revision: Any) -> str:
    """A commit id in short."""
    return visible(str(revision), 200)[:12]


def side_name(side: Any, lang: str) -> str:
    """The word for a side or role, or its own text."""
    return catalogue(lang).get(f"report.role.{side}", visible(str(side), 60))
