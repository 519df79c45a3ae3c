"""How alike a model can be made to another without changing what it computes.

Whoever publishes last may permute, flip and rotate. ``ceilings`` does so on purpose: it turns parts of some
modules, by lossless changes only, towards random weights they have nothing to do with, and reports the
|cosine| that units reach. A real relation has to exceed that by far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Module
from apograph.align.pairing import Sketch
from apograph.evidence.coin_sketch import together

Units: TypeAlias = NDArray[Any]
"""[groups, planes, units, vectors, channels]: groups may change places; the units of one plane may be mixed;
each unit has vectors that change together (up and down; v and o) over the residual channels. An MLP has
groups of one unit, V/O one plane for each head, Q/K a plane for each rotated pair."""

CHANNELS, GROUPS = 128, 448
"""Size of the parts at most, heads narrowed in proportion: smaller parts can be made more alike, so the
answer is cautious."""
ROUNDS = 4


def ceilings(parts: Sequence[Units]) -> list[float]:
    """The median |cosine| of paired units in each part, after lossless optimisation towards a Gaussian
    surrogate. All parts share one residual stream.

    Rounds of: groups assigned to each other by the size of their inner products (Kuhn-Munkres), planes mixed
    orthogonally and the residual stream rotated, both by Procrustes' solution (Schönemann 1966).
    """
    random = np.random.default_rng(0)
    own = [_normed(np.asarray(part, dtype=float)) for part in parts]
    targets = [_normed(random.standard_normal(part.shape)) for part in own]
    for _ in range(ROUNDS):
        own = [_mixed(_assigned(a, t), t) for a, t in zip(own, targets, strict=True)]
        channels = own[0].shape[-1]
        cross = sum(
            (a.reshape(-1, channels).T @ t.reshape(-1, channels) for a, t in zip(own, targets, strict=True)),
            np.zeros((channels, channels)),
        )
        left, _, right = np.linalg.svd(cross)
        own = [a @ (left @ right) for a in own]
    own = [_mixed(_assigned(a, t), t) for a, t in zip(own, targets, strict=True)]
    return [float(np.median(np.abs((a * t).sum(axis=(-2, -1))))) for a, t in zip(own, targets, strict=True)]


def part_of(module: Module, s: Sketch, width: int) -> Units:
    """The beginning of one side's module, small enough to be optimised; ``s`` is a sketch of at most
    ``CHANNELS`` of the ``width`` residual channels."""
    both = together(module, s)
    if module.family == "mlp":
        return both[:GROUPS, :, None]
    kept = max(4, module.units * both.shape[-1] // width)
    if module.family == "vo":
        return both[:, None, :kept]
    half = module.units // 2
    planes = both.reshape(len(both), 2, half, *both.shape[2:]).transpose(0, 2, 1, 3, 4)
    return planes[:, : kept // 2]


def _normed(a: Units) -> Units:
    length = np.sqrt((a * a).sum(axis=(-2, -1), keepdims=True))
    scaled: Units = a / np.maximum(length, 1e-30)
    return scaled


def _crosses(target: Units, a: Units) -> Units:
    """Inner products of the units of every plane of every pair of groups: [groups, groups, planes, u, u]."""
    groups, planes, units = a.shape[:3]
    x, y = (v.reshape(groups, planes, units, -1) for v in (target, a))
    if units == planes == 1:
        return (x[:, 0, 0] @ y[:, 0, 0].T)[:, :, None, None, None]
    found: Units = np.einsum("gpux,hpvx->ghpuv", x, y, optimize=True)
    return found


def _assigned(a: Units, target: Units) -> Units:
    """Groups in the order in which they fit best, whatever mixing follows."""
    from scipy.optimize import linear_sum_assignment

    cross = _crosses(target, a)
    single = a.shape[1] == a.shape[2] == 1
    gain = (
        np.abs(cross[:, :, 0, 0, 0]) if single else np.linalg.svd(cross, compute_uv=False).sum(axis=(-2, -1))
    )
    order: Units = a[linear_sum_assignment(-gain)[1]]
    return order


def _mixed(a: Units, target: Units) -> Units:
    """Every plane turned by the orthogonal matrix (a sign, for single units) that fits it best."""
    flat = (*a.shape[:3], -1)
    cross = np.matmul(target.reshape(flat), np.swapaxes(a.reshape(flat), -1, -2))
    left, _, right = np.linalg.svd(cross)
    turned: Units = np.matmul(left @ right, a.reshape(flat)).reshape(a.shape)
    return turned
