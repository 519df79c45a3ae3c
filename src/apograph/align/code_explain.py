"""What other sources explain of one side's code, operation by operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apograph.align.code import Credits, Index
from apograph.align.code_background import UNIT
from apograph.align.code_pair import FULL, align
from apograph.align.code_trees import CodeTree

DEPTH = 5
"""Units of a source that are aligned with each unit to be explained."""


def explained_by(source: Index, units: Iterable[CodeTree]) -> Credits:
    """For each unit how far each of its operations also stands in ``source`` (0 to 1).

    Counted are the units of the source that share most with it, and every subtree of four operations and
    more that stands anywhere in the source.
    """
    found: Credits = {}
    for unit in units:
        credits = [0.0] * len(unit.full)
        for other in source.nearest(unit, DEPTH):
            for i, _, credit in align(unit, other).pairs:
                credits[i] = max(credits[i], credit)
        for i in range(len(unit.full) - 1, -1, -1):
            if unit.shape.size[i] >= 4 and unit.full[i] in source.subtrees:
                _whole(unit, i, credits)
        found[unit] = credits
    return found


def _whole(unit: CodeTree, top: int, credits: list[float]) -> None:
    waiting = [top]
    while waiting:
        i = waiting.pop()
        credits[i] = FULL
        waiting += [k for k in unit.shape.kids[i] if k >= 0]


def most(sources: Sequence[Credits]) -> Credits:
    """The best credit of each operation over several sources."""
    best: Credits = {}
    for credits in sources:
        for unit, values in credits.items():
            old = best.get(unit)
            best[unit] = values if old is None else [max(a, b) for a, b in zip(old, values, strict=True)]
    return best


def bits(unit: CodeTree, credits: Sequence[float] | None, beyond: Sequence[float] | None = None) -> float:
    """Bits of a unit by credit; with ``beyond`` only what exceeds that other credit."""
    if credits is None:
        return 0.0
    other = beyond if beyond is not None else [0.0] * len(credits)
    gained = (max(0.0, c - o) * w for c, o, w in zip(credits, other, unit.weight, strict=True))
    return sum(gained) / UNIT


def explained_lines(unit: CodeTree, credits: Sequence[float] | None) -> list[int]:
    """Lines of which at least half the weight is explained."""
    if credits is None:
        return []
    total: dict[int, float] = {}
    held: dict[int, float] = {}
    for line, weight, credit in zip(unit.shape.lines, unit.weight, credits, strict=True):
        total[line] = total.get(line, 0.0) + weight
        held[line] = held.get(line, 0.0) + weight * credit
    return sorted(line for line, w in total.items() if w and held[line] >= w / 2)
