"""Unprompted structure of long answers: headings, bullet forms, tables, fences that the key does not have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.canonical import plain
from apograph.behaviour.sheet import Sheet
from apograph.behaviour.view import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.+?)\s*#*$")
_BOLD = re.compile(r"^\s*(?:\*\*|__)(.{1,80}?)(?:\*\*|__)\s*:?\s*$")
_LABEL = re.compile(r"^\s*([^\W\d_][^:：\n]{0,60})[:：]\s*$")
_FORMS = (
    ("bullet -", re.compile(r"^\s*-\s+\S")),
    ("bullet *", re.compile(r"^\s*\*\s+\S")),
    ("bullet •", re.compile(r"^\s*[•·]\s*\S")),
    ("number 1.", re.compile(r"^\s*\d{1,3}\.\s+\S")),
    ("number 1)", re.compile(r"^\s*\(?\d{1,3}\)\s+\S")),
    ("table", re.compile(r"^\s*\|.+\|\s*$")),
    ("fence", re.compile(r"^\s*```")),
)


def elements(text: str) -> frozenset[str]:
    """Every heading with its words, and every form of list, table or fence once."""
    found: set[str] = set()
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            found.add(f"heading {len(heading[1])} {plain(heading[2])}")
        elif bold := _BOLD.match(line):
            found.add(f"bold {plain(bold[1])}")
        elif label := _LABEL.match(line):
            found.add(f"label {plain(label[1])}")
        else:
            found.update(name for name, form in _FORMS if form.match(line))
    return frozenset(found)


def structure_view(sheet: Sheet, reference: int) -> tuple[View, list[tuple[str, str]]]:
    """A view whose units are the reference's unprompted elements (item, element): what the key also has does
    not count. A model is tried on an element when it answered the item, and hits when it shows it too."""
    units: list[tuple[str, str]] = []
    rows: list[int] = []
    codes = sheet.columns[reference].codes
    for row in np.flatnonzero(codes >= 0).tolist():
        prompted = elements(sheet.texts[int(sheet.keys[row])]) if sheet.keys[row] >= 0 else frozenset()
        for element in sorted(elements(sheet.texts[int(codes[row])]) - prompted):
            units.append((sheet.name(row), element))
            rows.append(row)
    tried = np.zeros((len(sheet.columns), len(units)), bool)
    hit = np.zeros_like(tried)
    for j, column in enumerate(sheet.columns):
        tried[j] = column.codes[rows] >= 0 if rows else False
        hit[j] = _shown(sheet, column.codes, rows, units) & tried[j]
    return View(tuple(c.name for c in sheet.columns), tried, hit, reference), units


def _shown(
    sheet: Sheet,
    codes: NDArray[Any],
    rows: Sequence[int],
    units: Sequence[tuple[str, str]],
) -> NDArray[Any]:
    seen: dict[int, frozenset[str]] = {}
    shown = np.zeros(len(rows), bool)
    for n, (row, (_, element)) in enumerate(zip(rows, units, strict=True)):
        code = int(codes[row])
        if code >= 0:
            if code not in seen:
                seen[code] = elements(sheet.texts[code])
            shown[n] = element in seen[code]
    return shown
