"""The heads of one attention: their order, and how the dimensions within each were mixed.

The products W_Vᵀ W_Oᵀ and W_Qᵀ W_K of a head do not change under an invertible map of its dimensions, so
heads are paired by these; the map itself is then least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import Axis
from apograph.align.gauge.mixing import KINDS, Kind, Mixing, mixing_of
from apograph.align.gauge.types import Geometry
from apograph.align.pairing import cosines

Floats: TypeAlias = NDArray[Any]
Index: TypeAlias = NDArray[np.int64]
Rotary: TypeAlias = Literal["half", "pairs", "none", "unknown"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One half of an attention, value/output or key/query. ``narrow`` carries the rows of v or k over,
    ``wide`` the columns of o or rows of q."""

    narrow: Axis
    wide: Axis
    held: float
    chance: float
    flipped: int
    scale: tuple[float, float]
    mixing: Mixing


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """``groups`` [key/value heads] and ``heads`` [query heads] are the candidate's place of each, or -1."""

    vo: Part
    qk: Part
    groups: Index
    heads: Index


def heads_map(
    matrices: tuple[tuple[Floats, ...], tuple[Floats, ...]], shapes: tuple[Geometry, Geometry], rotary: Rotary
) -> Heads | None:
    """The map of the heads between the two sides' (q, k, v, o), [heads times size, numbers] each, k and v
    over all channels, q and the columns of o as sketches or whole. None where heads have different sizes, or
    query heads are shared out unevenly."""
    sides = [_split(m, g) for m, g in zip(matrices, shapes, strict=True)]
    if shapes[0].size != shapes[1].size or any(g.heads % g.groups for g in shapes):
        return None
    (q, k, v, o), (q2, k2, v2, o2) = sides
    likeness = np.abs(_likeness((q, k), (q2, k2))) + np.abs(_likeness((o, v), (o2, v2)))
    likeness = np.nan_to_num(likeness, posinf=0.0)  # products beyond the range of float32
    groups, heads = _assigned(likeness, shapes)
    vo = _part((v, o), (v2, o2), groups, heads, shapes, "none")
    qk = _part((k, q), (k2, q2), groups, heads, shapes, rotary)
    return Heads(vo, qk, groups, heads)


def _split(matrices: tuple[Floats, ...], shape: Geometry) -> list[Floats]:
    """[heads, size, numbers] each."""
    counts = shape.heads, shape.groups, shape.groups, shape.heads
    return [m.reshape(n, shape.size, -1) for n, m in zip(counts, matrices, strict=True)]


def _likeness(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> NDArray[np.float64]:
    """Cosine of wideᵀ narrow of every query head of one side with that of every one of the other."""
    cross = np.zeros((len(a[0]), len(b[0])))
    shared = len(a[0]) // len(a[1]), len(b[0]) // len(b[1])
    wide = [m.reshape(-1, m.shape[-1]) for m in (a[0], b[0])]
    narrow = [m.reshape(-1, m.shape[-1]) for m in (a[1], b[1])]
    size = a[0].shape[1]
    x = (wide[0] @ wide[1].T).reshape(len(a[0]), size, len(b[0]), size)
    y = (narrow[0] @ narrow[1].T).reshape(len(a[1]), size, len(b[1]), size)
    for i in range(len(a[0])):
        other = np.repeat(y[i // shared[0]], shared[1], axis=1)
        cross[i] = np.einsum("sjt,sjt->j", x[i], other)
    norms = [_norms(*side) for side in (a, b)]
    return cross / np.maximum(np.outer(*norms), 1e-30)


def _norms(wide: Floats, narrow: Floats) -> NDArray[np.float64]:
    grams = np.repeat([n @ n.T for n in narrow], len(wide) // len(narrow), axis=0)
    sums = [float(np.vdot(w @ w.T, gram)) for w, gram in zip(wide, grams, strict=True)]
    return np.sqrt(np.maximum(sums, 0.0))


def _assigned(likeness: NDArray[np.float64], shapes: tuple[Geometry, Geometry]) -> tuple[Index, Index]:
    """Groups, and the query heads within them, that are most alike together."""
    from scipy.optimize import linear_sum_assignment

    shared = [g.heads // g.groups for g in shapes]
    blocks = likeness.reshape(shapes[0].groups, shared[0], shapes[1].groups, shared[1]).transpose(0, 2, 1, 3)
    table = np.zeros(blocks.shape[:2])
    for i, j in np.ndindex(*table.shape):
        table[i, j] = blocks[i, j][linear_sum_assignment(-blocks[i, j])].sum()
    groups = np.full(shapes[0].groups, -1, np.int64)
    rows, columns = linear_sum_assignment(-table)
    groups[rows] = columns
    heads = np.full((shapes[0].groups, shared[0]), -1, np.int64)
    for i, j in zip(rows, columns, strict=True):
        r, c = linear_sum_assignment(-blocks[i, j])
        heads[i, r] = j * shared[1] + c
    return groups, heads.reshape(-1)


def _part(
    a: tuple[Floats, Floats],
    b: tuple[Floats, Floats],
    groups: Index,
    heads: Index,
    shapes: tuple[Geometry, Geometry],
    rotary: Rotary,
) -> Part:
    """The map of every group's dimensions, found on ``narrow`` and judged on ``wide``."""
    size, shared = shapes[0].size, shapes[0].heads // shapes[0].groups
    found: dict[int, Mixing] = {}
    held, chance = [], []
    for i, j in enumerate(groups):
        mine = np.arange(i * shared, (i + 1) * shared)
        mine = mine[heads[mine] >= 0]
        if j < 0 or not len(mine):
            continue
        wide = a[1][mine].transpose(1, 0, 2).reshape(size, -1), b[1][heads[mine]].transpose(1, 0, 2)
        other = wide[1].reshape(size, -1)
        found[i], alone = mixing_of((a[0][i], b[0][j]), (wide[0], other), rotary)
        turned = alone.T @ other
        held.append(np.abs(cosines(wide[0], turned)))
        chance.append(np.abs(cosines(wide[0], np.roll(turned, 1, axis=0))))
    kind: Kind = max((m.kind for m in found.values()), key=KINDS.index, default="none")
    matrices = np.stack([found[i].matrix if i in found else np.eye(size) for i in range(len(groups))])
    whole = Mixing(matrices, kind)
    narrow, wide_axis = _axes(whole, groups, heads, size, shared)
    factors = np.linalg.svd(matrices, compute_uv=False) if kind in ("scaled", "planes", "any") else np.ones(1)
    return Part(
        narrow,
        wide_axis,
        float(np.median(np.concatenate(held))) if held else 0.0,
        float(np.median(np.concatenate(chance))) if chance else 0.0,
        int((matrices.sum(axis=2) < 0).sum()) if kind in ("none", "permuted", "scaled") else 0,
        (float(factors.min()), float(factors.max())),
        whole,
    )


def _axes(mixing: Mixing, groups: Index, heads: Index, size: int, shared: int) -> tuple[Axis, Axis]:
    """Of v or k (groups), and of o or q (query heads): v' = N⁻¹ v and o' = o N for each group's N."""
    inverse = np.linalg.inv(mixing.matrix)
    wide = np.repeat(mixing.matrix, shared, axis=0)
    if mixing.kind not in ("none", "permuted", "scaled"):
        return (
            Axis(index=_places(groups, size), mix=np.swapaxes(inverse, 1, 2)),
            Axis(index=_places(heads, size), mix=wide),
        )
    # One factor in each column: places and factors, so that values stay exactly what they were.
    order = np.abs(mixing.matrix).argmax(axis=1)
    factor = np.take_along_axis(mixing.matrix, order[:, None, :], axis=1)[:, 0]
    wide_order, wide_factor = np.repeat(order, shared, axis=0), np.repeat(factor, shared, axis=0)
    return (
        Axis(index=_places(groups, size, order), after=(1 / factor).reshape(-1)),
        Axis(index=_places(heads, size, wide_order), after=wide_factor.reshape(-1)),
    )


def _places(blocks: Index, size: int, order: Index | None = None) -> Index:
    inner = np.arange(size)[None] if order is None else order
    places = blocks[:, None] * size + inner
    result: Index = np.where(blocks[:, None] < 0, -1, places).reshape(-1).astype(np.int64)
    return result
