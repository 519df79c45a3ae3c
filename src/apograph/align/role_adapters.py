"""Low-rank adapters: pairs of thin matrices stored one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from apograph.align.role_runs import Stored
from apograph.align.role_sheets import Sheet
from apograph.align.roles import View

LARGEST = 512
"""Rank that an adapter has at most."""


def find_adapters(
    tensors: Sequence[Stored], kernels: Sequence[Sheet], hidden: Sequence[int]
) -> list[tuple[View, View]]:
    """Pairs (down [rank, in], up [out, rank]) of a rank that no other matrix has as a dimension, nor the
    configuration as a ``hidden`` size."""
    sheets = [t for t in tensors if isinstance(t, Sheet) and not t.items and t not in kernels]
    counts = Counter(d for s in sheets for d in {s.rows, s.columns})
    found: dict[int, list[tuple[View, View]]] = {}
    used: set[View] = set()
    for a, b in pairwise(sheets):
        for down, up in ((a, b), (b, a)):
            rank = down.rows
            thin = rank == up.columns and 2 * rank <= min(down.columns, up.rows) and rank <= LARGEST
            if thin and rank not in hidden and not {down.view, up.view} & used:
                found.setdefault(rank, []).append((down.view, up.view))
                used |= {down.view, up.view}
    return [
        p for rank, pairs in found.items() if len(pairs) > 1 and 2 * len(pairs) == counts[rank] for p in pairs
    ]
