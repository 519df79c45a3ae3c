"""Runs of layers: stretches of a checkpoint in which the same shapes come again and again, in stored order.

In whatever order a program stores a layer, it stores all of them alike. The tensors at one place of every
layer have one role, which the evidence of all layers together decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.role_sheets import Reader, Sheet, Sorted, Vector
from apograph.align.role_vectors import is_gain

Stored: TypeAlias = Sheet | Vector
FEWEST = 2
"""Matrices that a layer has at least."""


@dataclass(frozen=True, slots=True)
class Run:
    """``slots[i][n]``: the i-th tensor of layer n. ``start`` and ``stop`` count all stored tensors."""

    slots: tuple[tuple[Stored, ...], ...]
    start: int
    stop: int

    @property
    def layers(self) -> int:
        """How many layers stand side by side."""
        return len(self.slots[0])


def stored(sorted_: Sorted) -> list[Stored]:
    """Everything that may have a role, in the order of the checkpoint."""
    return sorted([*sorted_.sheets, *sorted_.vectors, *sorted_.kernels], key=lambda s: s.place)


def find_runs(tensors: Sequence[Stored], side: int, reader: Reader) -> list[Run]:
    """The longest stretch of repeated shapes, then those before and after it, in order. ``side`` as told by
    ``bias_side``."""
    codes: dict[tuple[int, ...], int] = {}
    signs = np.array([codes.setdefault(_shape(t), len(codes)) for t in tensors])
    gains = {t.name for t in tensors if isinstance(t, Vector) and is_gain(reader, t.name)}
    beside_ = [i for i in beside(tensors, side) if getattr(tensors[i], "name", "") not in gains]
    owned = np.zeros(len(tensors), dtype=np.int64)
    owned[beside_] = side
    return _runs(tensors, signs, owned)


def bias_side(tensors: Sequence[Stored], reader: Reader) -> int:
    """-1 where biases stand behind their matrices, as programs build them, 1 where before, as the alphabet
    has it: as the biases of norms stand to their gains, else where more vectors have a matrix beside them."""
    votes = 0
    for a, b in pairwise(tensors):
        if isinstance(a, Vector) and isinstance(b, Vector) and a.length == b.length:
            votes += is_gain(reader, b.name) - is_gain(reader, a.name)
    if votes:
        return 1 if votes > 0 else -1
    return 1 if len(beside(tensors, 1)) > len(beside(tensors, -1)) else -1


def _shape(tensor: Stored) -> tuple[int, ...]:
    if isinstance(tensor, Vector):
        return (tensor.length,)
    return tensor.rows, tensor.columns, tensor.items


def _runs(tensors: Sequence[Stored], signs: NDArray[np.int64], owned: NDArray[np.int64]) -> list[Run]:
    best = 0, 0, 0
    for period in range(FEWEST, len(signs) // 2 + 1):
        if best[2] >= len(signs):
            break
        for start, length in _stretches(signs[period:] == signs[:-period]):
            covered = (length + period) // period * period
            matrices = sum(isinstance(t, Sheet) for t in tensors[start : start + period])
            if length >= period and covered > best[2] and matrices >= FEWEST:
                best = _phase(owned, start, period, length + period), period, covered
    start, period, covered = best
    if not period:
        return []
    slots = tuple(tuple(tensors[start + i : start + covered : period]) for i in range(period))
    stop = start + covered
    found = Run(slots, tensors[start].place, tensors[stop - 1].place + 1)
    before, after = slice(start), slice(stop, None)
    sides = (_runs(tensors[x], signs[x], owned[x]) for x in (before, after))
    return [*next(sides), found, *next(sides)]


def _stretches(equal: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and length of all stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _phase(owned: NDArray[np.int64], start: int, period: int, length: int) -> int:
    """Where the first layer begins: the first place at which no bias is cut from its matrix. ``owned``: on
    which side of a bias its matrix stands, 0 for all other tensors."""
    choices = range(start, start + length % period + 1)
    return min(choices, key=lambda s: (owned[s] < 0) + (owned[s + period - 1] > 0))


def beside(word: Sequence[Stored], side: int) -> dict[int, int]:
    """Vectors of a layer, by place, beside (before, -1, or after, 1) them a matrix with their length."""
    found = {}
    for i, tensor in enumerate(word):
        near = word[i + side] if 0 <= i + side < len(word) else None
        if not isinstance(tensor, Vector) or not isinstance(near, Sheet):
            continue
        if tensor.length in (near.rows, near.columns):
            found[i] = i + side
    return found
