"""Two pieces of code side by side: lines that answer each other level, renamed identifiers marked alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from apograph.report.escape import visible
from apograph.report.figures.cells import LINES, cell, commit, first, more, side_name
from apograph.report.markup import Child, element, join
from apograph.report.words import say

_ROWS = 160
_WIDTH = 240
"""Characters shown of one line."""
_HUES = 6
_NAMES = 40
_IDENTIFIER = re.compile(r"(\w+)")


@dataclass(frozen=True, slots=True)
class _Code:
    """One side: ``lines`` from number ``start`` on, ``hues`` by identifier, ``explained`` line numbers."""

    start: int
    lines: Sequence[str]
    hues: Mapping[str, int]
    explained: frozenset[int]

    def cells(self, number: int | None, letter: str) -> tuple[Markup, Markup]:
        """The number and the text of a line, or two empty cells."""
        if number is None:
            return element("td", class_="line void"), element("td", class_=f"void {letter}")
        kind = f"code {letter} explained" if number in self.explained else f"code {letter}"
        return element("td", number, class_="line"), element("td", *self._text(number), class_=kind)

    def _text(self, number: int) -> Iterator[Child]:
        line = visible(str(self.lines[number - self.start]).expandtabs(4), _WIDTH)
        for piece in _IDENTIFIER.split(line):
            hue = self.hues.get(piece)
            yield piece if hue is None else element("b", piece, class_=f"hue{hue}")


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """A table of four columns; a narrow screen shows the right line below its left one."""
    renamed = _renamed(data)
    left = _code(data, "left", {a: n % _HUES for n, (a, _) in enumerate(renamed)})
    right = _code(data, "right", {b: n % _HUES for n, (_, b) in enumerate(renamed)})
    rows = list(_aligned(left, right, data["pairs"]))
    shown, left_out = first(rows, _ROWS)
    body = [
        element(
            "tr",
            *left.cells(a, "l"),
            *right.cells(b, "r"),
            class_="pair" if a is not None and b is not None else None,
        )
        for a, b in shown
    ]
    head = element(
        "tr", *(element("th", _where(data[s], lang), colspan=2, scope="col") for s in ("left", "right"))
    )
    columns = element("colgroup", *(element("col", class_=kind) for kind in ("line", "code") * 2))
    table = element("table", columns, element("thead", head), element("tbody", *body), class_="codes")
    return join(
        table,
        element("p", more(left_out, lang), class_="more") if left_out else None,
        _legend(renamed, lang),
        element("p", _facts(data, lang), class_="note"),
    )


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """Where the two pieces stand, how alike they are, and what was renamed."""
    renamed, left = first(_renamed(data), LINES)
    lines = [_where(data["left"], lang), _where(data["right"], lang), _facts(data, lang)]
    lines += [f"{cell(a, lang, 60)} → {cell(b, lang, 60)}" for a, b in renamed]
    return [*lines, more(left, lang)] if left else lines


def _renamed(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(a), str(b)) for a, b in data.get("renamed") or [] if a != b]


def _code(data: Mapping[str, Any], side: str, hues: Mapping[str, int]) -> _Code:
    piece = data[side]
    lines, _ = first(piece["lines"], len(piece["lines"]))
    return _Code(int(piece["start"]), lines, hues, frozenset(data.get(f"explained_{side}") or []))


def _aligned(left: _Code, right: _Code, pairs: Any) -> Iterator[tuple[int | None, int | None]]:
    """Line numbers level with each other; what has no answer stands alone.

    A pair that runs against the order is passed over.
    """
    a, b = left.start, right.start
    end_a, end_b = a + len(left.lines), b + len(right.lines)
    for x, y in [*sorted((int(x), int(y)) for x, y in pairs), (end_a, end_b)]:
        if not (a <= x <= end_a and b <= y <= end_b):
            continue
        yield from ((n, None) for n in range(a, x))
        yield from ((None, n) for n in range(b, y))
        if x < end_a and y < end_b:
            yield x, y
        a, b = x + 1, y + 1


def _where(piece: Mapping[str, Any], lang: str) -> str:
    start, count = int(piece["start"]), len(piece["lines"])
    place = say("report.lines", lang, path=cell(piece["path"], lang, 120), start=start, end=start + count - 1)
    revision = f" @ {commit(piece['revision'])}" if piece.get("revision") else ""
    return f"{side_name(piece['side'], lang)}: {place}{revision}"


def _legend(renamed: Sequence[tuple[str, str]], lang: str) -> Markup | None:
    if not renamed:
        return None
    shown, left = first(renamed, _NAMES)
    chips = [element("li", _marked(a, n, lang), " → ", _marked(b, n, lang)) for n, (a, b) in enumerate(shown)]
    rest = element("li", more(left, lang)) if left else None
    return join(
        element("p", say("report.code.renamed", lang), class_="note"),
        element("ul", *chips, rest, class_="chips"),
    )


def _marked(name: str, n: int, lang: str) -> Markup:
    return element("b", cell(name, lang, 60), class_=f"hue{n % _HUES}")


def _facts(data: Mapping[str, Any], lang: str) -> str:
    facts = [
        say(f"report.code.{name}", lang, value=float(data[name]))
        for name in ("similarity", "consistency")
        if data.get(name) is not None
    ]
    if data.get("explained_left") or data.get("explained_right"):
        facts.append(say("report.code.explained", lang))
    return " ".join(facts)
