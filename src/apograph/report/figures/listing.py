"""A list of items; also the fallback for data that no figure can draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.escape import visible
from apograph.report.figures.cells import LINES, ROWS, cell, first, more
from apograph.report.markup import element, join

_FALLBACK = 4000


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """The items as a list of short texts."""
    items, left = first(data["items"], ROWS)
    left += int(data.get("more") or 0)
    told = element("ul", *(element("li", cell(item, lang)) for item in items), class_="items")
    return join(told, element("p", more(left, lang), class_="more") if left else None)


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """One line per item."""
    items, left = first(data["items"], LINES)
    left += int(data.get("more") or 0)
    told = [cell(item, lang, 200) for item in items]
    return [*told, more(left, lang)] if left else told


def fallback_page(data: Mapping[str, Any], lang: str) -> Markup:
    """Data of an unknown kind or shape, as it stands."""
    return element("pre", fallback_plain(data, lang)[0], class_="raw")


def fallback_plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """The same as one line."""
    return [visible(json.dumps(data, ensure_ascii=False, default=str), _FALLBACK)]
