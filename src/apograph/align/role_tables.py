"""Tables over a residual stream: embedding and head, positions, segments, projections into and out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from apograph.align.role_blocks import Layer
from apograph.align.role_heads import numbers
from apograph.align.role_match import alike
from apograph.align.role_peek import Peek
from apograph.align.role_sheets import Reals, Sheet
from apograph.align.role_streams import Piece
from apograph.align.role_views import read
from apograph.align.roles import View
from apograph.findings import Json

SMOOTH = 0.2
"""Correlation of neighbouring rows from which a table is one of positions."""
SEGMENTS = 4
CLEAR = 0.02


@dataclass(frozen=True, slots=True)
class Tables:
    """``kernel``: a convolution writes into the stream. ``segments``: a table of a few rows was found.
    ``sure``: content tells embedding from head, and no table was taken for one of positions against its
    length."""

    embedding: View | None = None
    head: View | None = None
    positions: View | None = None
    other: tuple[View, ...] = ()
    kernel: bool = False
    segments: bool = False
    sure: bool = True


def find_tables(
    left: Sequence[Piece],
    kernels: Sequence[Sheet],
    layers: Sequence[Layer],
    width: int,
    peek: Peek,
    alphabetical: bool,
    config: Mapping[str, Json],
) -> Tables:
    """The longest table is the embedding; of two equally long ones the one that resembles the readers, the
    other being the head. A shorter table whose neighbouring rows are alike holds positions; else the
    next longest. Where the two longest are not told apart, the head is the second, or the first
    by the alphabet."""
    tables = [_untwisted(p, width) for p in left if p.out != p.inn]
    tables.sort(key=lambda p: (-p.out, p.place))
    other = [p.view for p in left if p.out == p.inn] + [k.view for k in kernels]
    pieces = [p for p in tables if p.inn == width]
    other += [p.view for p in tables if p.inn != width]
    words, counts = numbers(config, "vocab"), numbers(config, "position")
    if any(p.out in words for p in pieces):
        pieces.sort(key=lambda p: p.out not in words)
    smooth = {p.view: _smoothness(p, peek) for p in pieces if p.out > SEGMENTS}
    shorter = [p for p in pieces if p.view in smooth and p.out != pieces[0].out]
    shorter = [p for p in shorter if p.out in counts] or [p for p in shorter if p.out < pieces[0].out]
    positions = max(shorter, key=lambda p: smooth[p.view], default=None)
    if positions is not None and positions.out not in counts and smooth[positions.view] < SMOOTH:
        lone = smooth[pieces[0].view] > 2 * SMOOTH and pieces[0].out != pieces[1].out
        lone &= pieces[0].out not in words
        positions = pieces[0] if lone else None
    pieces = [p for p in pieces if p is not positions]
    embedding = head = None
    sure = positions is None or positions.out in counts or positions in shorter
    if pieces and not kernels and pieces[0].out > SEGMENTS:
        longest = [p for p in pieces if p.out == pieces[0].out][:2]
        first, second = longest[0], longest[-1]
        if first is not second:
            lead = _feeds(first, layers, peek) - _feeds(second, layers, peek)
            sure &= abs(lead) > CLEAR
            if lead < -CLEAR or (alphabetical and lead < CLEAR):
                first, second = second, first
        embedding, head = first.view, second.view if second is not first else None
        pieces = [p for p in pieces if p not in longest]
    if positions is None and pieces and pieces[0].out > SEGMENTS:
        positions = pieces[0] if embedding is not None or kernels else None
        pieces = pieces[1:] if positions else pieces
    other += [p.view for p in pieces]
    return Tables(
        embedding,
        head,
        positions.view if positions else None,
        tuple(other),
        bool(kernels),
        any(p.out <= SEGMENTS for p in pieces),
        sure,
    )


def _untwisted(piece: Piece, width: int) -> Piece:
    """Tables are stored [entries, width] also where matrices are turned."""
    if piece.view.turned and piece.out == width:
        return replace(piece, view=replace(piece.view, turned=False), out=piece.inn, inn=piece.out)
    return piece


def _smoothness(piece: Piece, peek: Peek) -> float:
    """Mean correlation of every row with the next."""
    some = replace(piece.view, stop=min(piece.out, 512)) if not piece.view.turned else piece.view
    rows = read(peek.reader.store, some).astype(np.float64)
    rows = rows - rows.mean(axis=0)
    a, b = rows[:-1], rows[1:]
    norm = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / norm) if norm else 0.0


def _feeds(piece: Piece, layers: Sequence[Layer], peek: Peek) -> float:
    """How much more a table resembles what reads the stream than what writes to it."""
    first = [peek.inputs(v) for y in layers for vs in y.reads() for v in vs]
    last = [peek.outputs(m.mlp.down) for y in layers for m in y.mlps[:2]]
    table = peek.inputs(piece.view)
    return _mean(table, first) - _mean(table, last)


def _mean(gram: Reals, others: Sequence[Reals]) -> float:
    found = [alike(gram, g) for g in others]
    return float(np.mean(found)) if found else 0.0
