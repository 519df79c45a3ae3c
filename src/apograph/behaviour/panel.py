"""The rules for a panel of unrelated models, without which no match rate means anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apograph.behaviour.pairs import count_pair
from apograph.behaviour.sheet import Sheet
from apograph.behaviour.view import View

DUPLICATE_ERRORS = 0.95
DUPLICATE_ANSWERS = 0.99
ENOUGH_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Panel:
    """``kept`` models (columns) are used; ``dropped`` pairs a model with the one that it repeats.
    ``strong``: the kept models at least as accurate as both sides (all of them when there is no key)."""

    kept: tuple[int, ...]
    dropped: tuple[tuple[int, int], ...]
    strong: tuple[int, ...]


def choose_panel(sheet: Sheet, panel: Sequence[int], reference: int, candidate: int) -> Panel:
    """Keep one of every group of models that answer as one, and none that answers as a side does throughout.

    Two models are one when they give the same answer on at least 99 % of the items and, having twenty or more
    shared errors, the same wrong answer on 95 % of those. A panel model that repeats the *reference or
    candidate* is dropped only when every answer is identical: a mere resemblance is what the panel is there
    to show, and stays.
    """
    kept: list[int] = []
    dropped: list[tuple[int, int]] = []
    for j in panel:
        twin = next((i for i in (reference, candidate) if _all_same(sheet, i, j)), None)
        if twin is None:
            twin = next((i for i in kept if repeats(sheet, i, j)), None)
        if twin is None:
            kept.append(j)
        else:
            dropped.append((j, twin))
    best = max(accuracy(sheet, reference), accuracy(sheet, candidate))
    strong = tuple(j for j in kept if not sheet.keyed or accuracy(sheet, j) >= best)
    return Panel(tuple(kept), tuple(dropped), strong)


def repeats(sheet: Sheet, i: int, j: int) -> bool:
    """Whether two models answer as one."""
    counts = count_pair(sheet, i, j)
    if not counts.n or (counts.right + counts.identical) < DUPLICATE_ANSWERS * counts.n:
        return False
    return counts.both < ENOUGH_ERRORS or counts.identical >= DUPLICATE_ERRORS * counts.both


def _all_same(sheet: Sheet, i: int, j: int) -> bool:
    both = (sheet.columns[i].codes >= 0) & (sheet.columns[j].codes >= 0)
    return bool(both.any()) and bool(sheet.identical(i, j)[both].all())


def accuracy(sheet: Sheet, j: int) -> float:
    """Share of right answers among the comparable ones; 0 without any."""
    valid = sheet.valid(j)
    return float(sheet.right(j)[valid].mean()) if valid.any() else 0.0


def usable(view: View, panel: Sequence[int]) -> tuple[int, ...]:
    """The panel models that are wrong on at least one of the reference's errors."""
    return tuple(j for j in panel if view.tried[j].any())
