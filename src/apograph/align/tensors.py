"""Which tensor of one checkpoint answers which of another: the types that every tensor examiner shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

How: TypeAlias = Literal["same", "renamed", "permuted", "sliced", "fused"]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows ``[start, stop)`` along axis 0 of the tensor ``name``; ``stop`` None means to the last row."""

    name: str
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Two parts of equal shape that answer each other.

    how: "same" (equal names), "renamed", "permuted" (a layer or expert of another number), "sliced" (part of a
    tensor answers a whole one, as after an extended vocabulary), "fused" (q/k/v or gate/up stored as one).
    ``score`` is the |cosine| of sampled elements, 0 where nothing was read. ``transposed``: the candidate's
    two axes are exchanged (a matrix; ``candidate`` then names the whole tensor).
    """

    reference: Part
    candidate: Part
    how: How
    score: float
    transposed: bool = False
