"""The rules by which tensors were renamed, as ribbons as broad as the number of tensors they carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.figures.cells import LINES, cell, first, more, side_name
from apograph.report.markup import element, join
from apograph.report.words import say

_RULES = 24
_EXAMPLES = 3
_NAMES = 30
_BREADTH = 56.0
"""Of the broadest ribbon, in pixels."""


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """A table whose middle column is drawn: what the name was, the ribbon, what it is, how many."""
    rules = _sorted(data)
    shown, left = first(rules, _RULES)
    most = max((rule["count"] for rule in rules), default=1)
    head = element(
        "tr",
        element("th", side_name("reference", lang), scope="col"),
        element("th", element("span", say("report.rename.ribbon", lang), class_="unseen"), scope="col"),
        element("th", side_name("candidate", lang), scope="col"),
        element("th", say("report.rename.tensors", lang), scope="col", class_="number"),
        element("th", say("report.rename.base", lang), scope="col", class_="number"),
    )
    table = element(
        "table",
        element("thead", head),
        element("tbody", *(_row(rule, most, lang) for rule in shown)),
        class_="ribbons",
    )
    return join(
        table,
        element("p", more(left, lang), class_="more") if left else None,
        element("p", *_facts(data, lang), class_="note"),
        _unmatched(data, lang),
    )


def _row(rule: Mapping[str, Any], most: int, lang: str) -> Markup:
    renamed = rule["from"] != rule["to"]
    examples, _ = first(rule.get("examples") or [], _EXAMPLES)
    hint = "; ".join(f"{cell(a, lang, 120)} → {cell(b, lang, 120)}" for a, b in examples)
    return element(
        "tr",
        element("td", element("code", cell(rule["from"], lang, 120)), title=hint or None),
        element("td", _ribbon(rule, most, renamed), class_="ribbon"),
        element("td", element("code", cell(rule["to"], lang, 120)), title=hint or None),
        element("td", f"{rule['count']:,}", class_="number"),
        element("td", f"{int(rule.get('base') or 0):,}", class_="number"),
        class_="renamed" if renamed else None,
    )


def _ribbon(rule: Mapping[str, Any], most: int, renamed: bool) -> Markup:
    """As broad as the number of tensors; the part that a base has as well is drawn pale."""
    breadth = max(3.0, _BREADTH * rule["count"] / max(most, 1))
    pale = breadth * min(1.0, int(rule.get("base") or 0) / max(rule["count"], 1))
    shapes = [
        element("rect", x=0, y=0, width=100, height=breadth - pale, class_="own" if renamed else "kept")
    ]
    if pale:
        shapes.append(element("rect", x=0, y=breadth - pale, width=100, height=pale, class_="base"))
    return element(
        "svg",
        *shapes,
        viewBox=f"0 0 100 {breadth:.2f}",
        preserveAspectRatio="none",
        width="100%",
        height=round(breadth, 2),
        aria_hidden="true",
    )


def _unmatched(data: Mapping[str, Any], lang: str) -> Markup | None:
    parts = []
    for side, names in sorted((data.get("unmatched") or {}).items()):
        shown, left = first(names, _NAMES)
        if shown:
            told = join(*(element("li", element("code", cell(name, lang, 120))) for name in shown))
            title = say("report.rename.unmatched", lang, side=side_name(side, lang), n=len(names))
            rest = element("li", more(left, lang)) if left else None
            parts.append(join(element("p", title), element("ul", told, rest, class_="items")))
    return join(*parts) if parts else None


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """One line per rule, then what is left over."""
    rules, left = first(_sorted(data), LINES)
    lines = [
        f"{cell(r['from'], lang, 60)} → {cell(r['to'], lang, 60)}  "
        + say("report.rename.rule", lang, n=r["count"], base=int(r.get("base") or 0))
        for r in rules
    ]
    lines += [more(left, lang)] if left else []
    for side, names in sorted((data.get("unmatched") or {}).items()):
        if names:
            lines.append(say("report.rename.unmatched", lang, side=side_name(side, lang), n=len(names)))
    return [*lines, *_facts(data, lang)]


def _facts(data: Mapping[str, Any], lang: str) -> list[str]:
    totals = data.get("totals") or {}
    facts = [say("report.rename.ordered" if data.get("ordered") else "report.rename.unordered", lang)]
    if all(isinstance(totals.get(name), int) for name in ("matched", "reference", "candidate")):
        facts.insert(0, say("report.rename.totals", lang, **totals) + " ")
    return facts


def _sorted(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(data["rules"], key=lambda rule: (-rule["count"], str(rule["from"])))
