"""Pictures of exhibits. A new kind is one file with ``page`` and ``plain``, and one line in ``FIGURES``.

``docs/exhibits.md`` describes the data of every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from apograph.findings import Exhibit
from apograph.report.figures import (
    code_pair,
    heatmap,
    histogram,
    listing,
    matrix,
    overlap,
    qq,
    rename_map,
    table,
    timeline,
)


class Figure(NamedTuple):
    """How one kind is shown: as markup for the page, as lines of text for the terminal."""

    page: Callable[[Mapping[str, Any], str], Markup]
    plain: Callable[[Mapping[str, Any], str], list[str]]


FIGURES: dict[str, Figure] = {
    "table": Figure(table.page, table.plain),
    "list": Figure(listing.page, listing.plain),
    "code_pair": Figure(code_pair.page, code_pair.plain),
    "rename_map": Figure(rename_map.page, rename_map.plain),
    "timeline": Figure(timeline.page, timeline.plain),
    "overlap": Figure(overlap.page, overlap.plain),
    "matrix": Figure(matrix.page, matrix.plain),
    "heatmap": Figure(heatmap.page, heatmap.plain),
    "histogram": Figure(histogram.page, histogram.plain),
    "qq": Figure(qq.page, qq.plain),
}
_FALLBACK = Figure(listing.fallback_page, listing.fallback_plain)
# A saved report may come from anyone: data that does not fit its kind is listed, never a crash.
_MISFITS = (AttributeError, KeyError, IndexError, TypeError, ValueError, ArithmeticError)


def page(exhibit: Exhibit, lang: str) -> Markup:
    """The exhibit drawn for the page."""
    try:
        return FIGURES.get(exhibit.kind, _FALLBACK).page(exhibit.data, lang)
    except _MISFITS:
        return _FALLBACK.page(exhibit.data, lang)


def plain(exhibit: Exhibit, lang: str) -> list[str]:
    """The exhibit as lines of text, each safe to print."""
    try:
        return FIGURES.get(exhibit.kind, _FALLBACK).plain(exhibit.data, lang)
    except _MISFITS:
        return _FALLBACK.plain(exhibit.data, lang)
