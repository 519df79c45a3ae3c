"""Two sets of errors, and how much of them is shared against what chance would share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import cell, side_name
from apograph.report.markup import element, join
from apograph.report.words import say

_BREADTH = 1000.0
_ROW = 34.0


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """Two bars on one scale, laid so that their shared errors stand above each other, then the share that
    independent errors would have."""
    a, b, shared, identical, expected, _ = _numbers(data)
    scale = _BREADTH / max(a + b - shared, expected, 1.0)
    left, both = (a - shared) * scale, shared * scale
    bars = [
        *_bar(0, 0.0, a * scale, left, both, "reference"),
        *_bar(1, left, b * scale, left, both, "candidate"),
        element("rect", x=left, y=2 * _ROW, width=identical * scale, height=_ROW - 10, class_="same"),
        element("rect", x=left, y=3 * _ROW, width=expected * scale, height=_ROW - 10, class_="chance"),
    ]
    picture = element(
        "svg",
        *bars,
        viewBox=f"0 0 {_BREADTH:.0f} {4 * _ROW:.0f}",
        preserveAspectRatio="none",
        width="100%",
        height=4 * _ROW,
        class_="overlap",
        role="img",
        aria_label=" ".join(plain(data, lang)),
    )
    keys = ("reference", "candidate", "same", "chance")
    lines = zip(keys, plain(data, lang), strict=True)
    return join(
        picture, element("ul", *(element("li", told, class_=key) for key, told in lines), class_="key")
    )


def _bar(row: int, start: float, breadth: float, left: float, both: float, side: str) -> list[Markup]:
    top = row * _ROW
    return [
        element("rect", x=start, y=top, width=breadth, height=_ROW - 10, class_=f"all {side}"),
        element("rect", x=left, y=top, width=both, height=_ROW - 10, class_=f"both {side}"),
    ]


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """Four lines: either side's errors, the identical ones, what chance would share."""
    a, b, shared, identical, expected, n = _numbers(data)
    labels = data.get("labels") or ["", ""]
    told = [
        say(
            "report.overlap.side",
            lang,
            side=side_name(side, lang),
            name=cell(labels[at], lang, 80),
            errors=int(errors),
            shared=int(shared),
            share=shared / errors if errors else 0.0,
        )
        for at, (side, errors) in enumerate((("reference", a), ("candidate", b)))
    ]
    told.append(say("report.overlap.identical", lang, n=int(identical), shared=int(shared)))
    told.append(say("report.overlap.expected", lang, expected=expected, n=int(n)))
    return told


def _numbers(data: Mapping[str, Any]) -> tuple[float, float, float, float, float, float]:
    """The counts, checked: a saved report may hold anything."""
    numbers = [float(data[name]) for name in ("a", "b", "shared", "identical", "expected", "n")]
    a, b, shared, identical, expected, n = numbers
    if not (0 <= identical <= shared <= min(a, b) and max(a, b) <= n < 1e15 and 0 <= expected <= n):
        raise ValueError("counts that do not fit together")
    return a, b, shared, identical, expected, n
