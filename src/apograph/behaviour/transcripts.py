"""Long transcriptions, position by position: each deviation from the key becomes an item of its own.

Every transcription is aligned with the key (or with what the panel reads). A *run* of tokens that departs
from it is one deviation, noted at the position where it begins as (tokens of the key replaced, text put
there); all other positions are right. So the statistics of short answers apply unchanged: two models share a
deviation when the same text replaces the same tokens at the same position.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from apograph.behaviour.canonical import MISSING
from apograph.behaviour.edit import LONGEST, align, distance
from apograph.behaviour.sheet import Column, Sheet
from apograph.release.refuse import refuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00017000-\U00018d8f\U00020000-\U0003ffff]|\w+|[^\w\s]|\n+"
)
MAX_POSITIONS = 20_000_000
SEPARATOR = "\x1f"
"""Between what the right text has and what was put there; no token holds it, for it is white space."""
_CENTRES = 9


class Run(NamedTuple):
    """``span`` tokens of the key from ``start`` on are replaced by ``text`` (span 0: inserted before it)."""

    start: int
    span: int
    text: str


def tokens(text: str) -> tuple[str, ...]:
    """Words, single ideographs, punctuation marks and line breaks."""
    return tuple(found if found[0] != "\n" else "\n" for found in _TOKEN.findall(text))[:LONGEST]


def runs(key: Sequence[str], text: Sequence[str]) -> list[Run]:
    """The deviations of ``text`` from ``key``, in order; [] when they are equal."""
    found: list[Run] = []
    start: int | None = None
    end, put = 0, list[str]()
    for how, i, j in [*align(key, text), ("=", len(key), len(text))]:
        if how == "=":
            if start is not None:
                found.append(Run(start, end - start, " ".join(put)))
                start, put = None, []
            continue
        if start is None:
            start = end = i
        if how != "+":
            end = i + 1
        if how != "-":
            put.append(text[j])
    return found


def consensus(texts: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """What most of at least three transcriptions read: the most central of the first nine, corrected by the
    majority of all at every position. None for fewer."""
    if len(texts) < 3:
        return None
    candidates = texts[:_CENTRES]
    totals = [sum(distance(a, b) for b in candidates) for a in candidates]
    centre = texts[totals.index(min(totals))]
    votes: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(len(centre) + 1)]
    for text in texts:
        emitted: list[list[str]] = [[] for _ in range(len(centre) + 1)]
        for how, i, j in align(centre, text):
            if how != "-":
                emitted[i].append(text[j])
        for vote, words in zip(votes, emitted, strict=True):
            vote[tuple(words)] += 1
    read: list[str] = []
    for position, vote in enumerate(votes):
        part, count = vote.most_common(1)[0]
        read.extend(part if 2 * count > len(texts) else centre[position : position + 1])
    return tuple(read)


def explode(sheet: Sheet, panel: Sequence[int]) -> tuple[Sheet, int]:
    """A sheet whose items are the positions of all transcriptions, and how many transcriptions were left out
    because they have neither a key nor three answers of the panel. Its texts: the tokens of the key that are
    replaced, SEPARATOR, the text put there.

    Raises Refusal 5 beyond twenty million positions.
    """
    items: list[str] = []
    names: list[str] = []
    table: dict[str, int] = {SEPARATOR: 0}
    found: list[list[NDArray[Any]]] = [[] for _ in sheet.columns]
    left_out = 0
    for row, item in enumerate(sheet.items):
        key = _key(sheet, row, panel)
        if key is None:
            left_out += 1
            continue
        if len(items) + len(key) + 1 > MAX_POSITIONS:
            raise refuse("answers.positions", code=5, limit=MAX_POSITIONS)
        items += [f"{item}@{position}" for position in range(len(key) + 1)]
        names += [f"{sheet.name(row)}, token {position + 1}" for position in range(len(key) + 1)]
        for j, column in enumerate(sheet.columns):
            code = int(column.codes[row])
            marks = np.full(len(key) + 1, min(code, 0), dtype=np.int32)
            if code >= 0:
                for run in runs(key, tokens(sheet.texts[code])):
                    there = " ".join(key[run.start : run.start + run.span])
                    marks[run.start] = table.setdefault(f"{there}{SEPARATOR}{run.text}", len(table))
            found[j].append(marks)
    n = len(items)
    columns = tuple(
        Column(
            c.name, c.path, c.sha256, np.concatenate(found[j]) if n else np.empty(0, np.int32), rows=c.rows
        )
        for j, c in enumerate(sheet.columns)
    )
    keys, options = np.zeros(n, np.int32), np.zeros(n, np.int16)
    return Sheet("text", tuple(items), columns, keys, options, tuple(table), tuple(names)), left_out


def _key(sheet: Sheet, row: int, panel: Sequence[int]) -> tuple[str, ...] | None:
    if sheet.keys[row] != MISSING:
        return tokens(sheet.texts[int(sheet.keys[row])])
    codes = [int(sheet.columns[j].codes[row]) for j in panel]
    return consensus([tokens(sheet.texts[code]) for code in codes if code >= 0])
