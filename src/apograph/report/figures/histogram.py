"""Counts in classes of equal breadth, with the law that was fitted to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import LINES, cell, first
from apograph.report.markup import element, join

_BREADTH, _HEIGHT = 640.0, 200.0
_CLASSES = 200
_BAR = 30


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """Bars, the law as a line over them, and the range below."""
    edges, counts, law = _numbers(data)
    top = max(max(counts), max(law, default=0.0), 1e-300)
    step = _BREADTH / len(counts)
    drawn = [
        element("rect", x=n * step, y=_HEIGHT * (1 - c / top), width=step * 0.92, height=_HEIGHT * c / top)
        for n, c in enumerate(counts)
    ]
    if law:
        points = " ".join(f"{(n + 0.5) * step:.1f},{_HEIGHT * (1 - v / top):.1f}" for n, v in enumerate(law))
        drawn.append(element("path", d=f"M{points}", class_="law"))
    picture = element(
        "svg",
        *drawn,
        viewBox=f"0 0 {_BREADTH:.0f} {_HEIGHT:.0f}",
        width="100%",
        class_="plot",
        role="img",
        aria_label=_range(edges),
    )
    name = element("p", cell(data["law"]["name"], lang, 80), class_="law") if law else None
    return join(picture, element("p", _range(edges)), name)


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """At most 12 bars of text, classes joined where there are more."""
    edges, counts, _ = _numbers(data)
    joined = math.ceil(len(counts) / LINES)
    sums = [sum(counts[n : n + joined]) for n in range(0, len(counts), joined)]
    starts = edges[:-1:joined]
    top = max(max(sums), 1e-300)
    return [
        f"{start:>11.4g}  {'#' * round(_BAR * total / top)} {total:g}".rstrip()
        for start, total in zip(starts, sums, strict=True)
    ]


def _range(edges: list[float]) -> str:
    return f"{edges[0]:.4g} … {edges[-1]:.4g}"


def _numbers(data: Mapping[str, Any]) -> tuple[list[float], list[float], list[float]]:
    """Edges, counts and the law's expected counts, checked: a saved report may hold anything."""
    counts = [float(v) for v in first(data["counts"], _CLASSES)[0]]
    edges = [float(v) for v in first(data["edges"], _CLASSES + 1)[0]]
    law = [float(v) for v in first(data["law"]["values"], _CLASSES)[0]] if data.get("law") else []
    if not counts or len(edges) != len(counts) + 1 or (law and len(law) != len(counts)):
        raise ValueError("classes that do not fit")
    if not all(map(math.isfinite, [*counts, *edges, *law])) or min([*counts, *law]) < 0:
        raise ValueError("not a count")
    return edges, counts, law
