"""What reads the residual stream, and how norm gains stand in between."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import Axis
from apograph.align.role_views import read
from apograph.align.roles import Block, Norm
from apograph.release.tensor_store import TensorStore

Floats: TypeAlias = NDArray[Any]

SAME_GAINS = 0.1
"""Relative distance of two norms' gains up to which nothing was folded."""
DEAD = 1e-4
"""Gains smaller than this share of the median are not divided by: what they let through is nothing."""


def before_attention(block: Block) -> Norm | None:
    """The norm whose output the attention reads."""
    return block.before_attention or _only(block)


def before_mlp(block: Block) -> Norm | None:
    """The norm whose output the MLP reads."""
    return block.before_mlp or _only(block)


def _only(block: Block) -> Norm | None:
    return block.norms[0] if len(block.norms) == 1 else None


def reader(
    stream: Axis, norms: tuple[Norm | None, Norm | None], stores: tuple[TensorStore, TensorStore]
) -> tuple[Axis, bool]:
    """The map of the channels of a matrix that reads the stream after a norm, and whether gains were folded:
    W' = W diag(g_b) R diag(1/g_a). Where the channels only changed places and the gains with them, the gains
    stay where they are."""
    gains = [None if n is None else read(s, n.gain) for n, s in zip(norms, stores, strict=True)]
    if gains[0] is None and gains[1] is None:
        return stream, False
    width = next(len(g) for g in gains if g is not None)
    a, b = (np.ones(width) if g is None else g.astype(np.float64) for g in gains)
    if len(a) != len(b):
        return stream, False
    if stream.mix is None:
        moved = b if stream.index is None else b[stream.index]
        if np.linalg.norm(moved - a) <= SAME_GAINS * np.linalg.norm(a):
            return stream, False
    small = np.abs(a) < DEAD * np.median(np.abs(a))
    return stream.scaled(b, np.where(small, 0.0, 1 / np.where(small, 1.0, a))), True
