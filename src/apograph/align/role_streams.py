"""Residual streams of a checkpoint: their widths, and which matrices read from or write to them.

The width of a stream is the dimension that most matrices share. Among those, a hidden dimension is found on
both sides of the stream; the side of the majority reads, and that tells whether storage is turned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from apograph.align.role_match import alike
from apograph.align.role_sheets import Reader, Reals, Sheet
from apograph.align.roles import View


@dataclass(frozen=True, slots=True)
class Piece:
    """A matrix seen [out, in]. ``bundle`` names what is stored as one: the items of a stack have it equal."""

    view: View
    out: int
    inn: int
    place: int
    items: int = 0


@dataclass(frozen=True, slots=True)
class Hidden:
    """The dimension between the readers and writers of MLPs. ``fused``: gate and up are one matrix."""

    size: int
    gated: bool
    fused: bool
    readers: tuple[Piece, ...]
    writers: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """``hidden`` are the MLPs; ``squares`` [width, width]; ``readers`` and ``writers`` all others, by their
    other dimension. ``turned``: the storage is [in, out]; ``sure``: shapes or content told it."""

    width: int
    hidden: tuple[Hidden, ...]
    squares: tuple[Piece, ...]
    readers: dict[int, list[Piece]]
    writers: dict[int, list[Piece]]
    turned: bool
    sure: bool


def find_streams(sheets: Sequence[Sheet], reader: Reader) -> tuple[list[Stream], list[Sheet]]:
    """The streams, widest use first, and the matrices over none of them."""
    left = list(sheets)
    found = []
    while left:
        counts = Counter(d for s in left for d in {s.rows, s.columns})
        width = min(counts, key=lambda d: (-counts[d], -_squares(left, d), d))
        own = [s for s in left if width in (s.rows, s.columns)]
        stream = _stream(width, own, reader) if len(own) > 1 else None
        if stream is None:
            break
        found.append(stream)
        left = [s for s in left if width not in (s.rows, s.columns)]
    return found, left


def _squares(sheets: Sequence[Sheet], d: int) -> int:
    return sum(s.rows == s.columns == d for s in sheets)


def _stream(width: int, own: list[Sheet], reader: Reader) -> Stream | None:
    stacks, plain = [s for s in own if s.items], [s for s in own if not s.items]
    if not any(s.rows != s.columns for s in own) and len(own) < 4:
        return None
    turned, sure = _turned(plain, width, reader)
    turned_stacks, _ = _turned(stacks, width, reader) if stacks else (False, True)
    pieces = [_piece(s, turned) for s in plain]
    pieces += [p for s in stacks for p in _items(_piece(s, turned_stacks))]
    squares = tuple(p for p in pieces if p.out == p.inn)
    readers: dict[int, list[Piece]] = {}
    writers: dict[int, list[Piece]] = {}
    for p in pieces:
        if p.out != p.inn:
            (readers if p.inn == width else writers).setdefault(
                p.out if p.inn == width else p.inn, []
            ).append(p)
    hidden = [_hidden(x, readers, writers, bool(squares)) for x in sorted(writers)]
    return Stream(width, tuple(h for h in hidden if h), squares, readers, writers, turned, sure)


def _piece(sheet: Sheet, turned: bool) -> Piece:
    """Tables such as an embedding or a router stay as they are: [entries, width]."""
    view = replace(sheet.view, turned=turned)
    out, inn = (sheet.columns, sheet.rows) if turned else (sheet.rows, sheet.columns)
    return Piece(view, out, inn, sheet.place, sheet.items)


def _items(piece: Piece) -> list[Piece]:
    return [replace(piece, view=replace(piece.view, item=n)) for n in range(piece.items)]


def _turned(own: Sequence[Sheet], width: int, reader: Reader) -> tuple[bool, bool]:
    """Whether the storage is [in, out], and whether that is known."""
    rows = Counter(s.rows for s in own if s.columns == width != s.rows)
    columns = Counter(s.columns for s in own if s.rows == width != s.columns)
    both = rows.keys() & columns.keys()
    layers = max((min(rows[x], columns[x]) for x in both), default=2)
    vote = sum(rows[x] - columns[x] for x in both)
    for x in rows.keys() ^ columns.keys():
        count = rows[x] - columns[x]
        if abs(count) >= max(layers, 2) or x == 3 * width:
            vote += count
    if vote:
        return vote < 0, True
    squares = [s for s in own if s.rows == s.columns == width]
    reference = residual_gram(own, width, reader)
    if reference is None or not squares:
        return False, False
    for square in squares:
        traits = reader.traits(square.view)
        if traits is not None:
            vote += 1 if alike(traits.grams[1], reference) > alike(traits.grams[0], reference) else -1
    return vote < 0, abs(vote) >= len(squares) / 4


def residual_gram(own: Sequence[Sheet], width: int, reader: Reader) -> Reals | None:
    """Sum of the Gram matrices over the stream's leading channels, each brought to trace 1, of all matrices
    that are not square; None where there are none."""
    total = None
    for sheet in own:
        if sheet.rows == sheet.columns or not (traits := reader.traits(sheet.view)):
            continue
        gram = traits.grams[0 if sheet.rows == width else 1]
        trace = float(np.trace(gram))
        if trace > 0:
            total = gram / trace if total is None else total + gram / trace
    return total


def _hidden(
    size: int, readers: dict[int, list[Piece]], writers: dict[int, list[Piece]], squares: bool
) -> Hidden | None:
    """Takes the matrices of MLPs of one hidden size out of both tables."""
    down, single, double = writers[size], readers.get(size, []), readers.get(2 * size, [])
    if len(single) == 2 * len(down):
        kind, used = (True, False), readers.pop(size)
    elif len(double) == len(down) and len(single) < len(down):
        kind, used = (True, True), readers.pop(2 * size)
    elif (
        len(single) != 3 * len(down) and single and (squares or not _keys(size, len(down), readers, writers))
    ):
        kind, used = (False, False), readers.pop(size)
    else:
        return None
    del writers[size]
    return Hidden(size, *kind, tuple(used), tuple(down))


def _keys(size: int, count: int, readers: dict[int, list[Piece]], writers: dict[int, list[Piece]]) -> bool:
    """Whether queries and outputs of this width have keys and values beside them."""
    return any(
        x < size and size % x == 0 and x not in writers and len(p) == 2 * count for x, p in readers.items()
    )
