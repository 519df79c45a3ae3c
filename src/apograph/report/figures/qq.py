"""Quantiles of what was measured against those of the law that it should follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import LINES, cell, first
from apograph.report.markup import element, join

_SIDE = 260.0
_POINTS = 400


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """Points and the diagonal on which they would lie."""
    points = _numbers(data)
    low, high = min(map(min, points)), max(map(max, points))
    scale = _SIDE / max(high - low, 1e-300)
    drawn = [element("line", x1=0, y1=_SIDE, x2=_SIDE, y2=0, class_="law")]
    drawn += [element("circle", cx=(x - low) * scale, cy=_SIDE - (y - low) * scale, r=2.5) for x, y in points]
    names = [cell(data[axis], lang, 80) for axis in ("x", "y")]
    picture = element(
        "svg",
        *drawn,
        viewBox=f"-4 -4 {_SIDE + 8:.0f} {_SIDE + 8:.0f}",
        width=f"{_SIDE:.0f}",
        class_="plot",
        role="img",
        aria_label=f"{names[0]} – {names[1]}",
    )
    return join(picture, element("p", f"→ {names[0]}; ↑ {names[1]}; {low:.3g} … {high:.3g}"))


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """Twelve pairs of quantiles, evenly chosen."""
    points = _numbers(data)
    step = max(1, len(points) // LINES)
    head = f"{cell(data['x'], lang, 30)} / {cell(data['y'], lang, 30)}"
    return [head, *(f"{x:.4g} / {y:.4g}" for x, y in points[::step][:LINES])]


def _numbers(data: Mapping[str, Any]) -> list[tuple[float, float]]:
    points = [(float(x), float(y)) for x, y in first(data["points"], _POINTS)[0]]
    if not points or not all(math.isfinite(v) and abs(v) < 1e150 for point in points for v in point):
        raise ValueError("not points")
    return points
