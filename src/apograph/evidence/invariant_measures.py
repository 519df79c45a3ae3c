"""Measures between two models that signs, order and rotation leave as they are.

Unbiased linear CKA of query and key Gram matrices after Procrustes (AWM, arXiv 2510.06738); agreement of
assignments found independently from two matrices of an MLP (phi_MATCH, arXiv 2502.12292); spectra of
W_Q W_K^T and W_V W_O per head (GhostSpec, arXiv 2511.06390); trace of the orthogonal factor of E^T E' (MDIR,
arXiv 2508.06309). Written from the formulas; each has its own way with names and layers here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.pairing import assigned, best
from apograph.align.role_modules import block_pairs, tower_pairs
from apograph.align.role_views import read, view_shape
from apograph.align.roles import Attention, Block, Mlp, Norm, Roles, Tower, View
from apograph.release.tensor_store import TensorStore
from apograph.release.types import Tokenizer

NAMES = ("cka", "match", "spectra", "trace")
LAYERS = 4
"""Layers, evenly spaced, that are looked at."""
CHANNELS, HIDDEN = 512, 2048
ROWS_PER_CHANNEL = 4
_TINY = 1e-300

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Side:
    """One release as it is measured. With tokenizers on both sides equal tokens are compared, else equal
    ids."""

    store: TensorStore
    roles: Roles
    tokenizer: Tokenizer | None = None


def measured(a: Side, b: Side) -> dict[str, float]:
    """Every measure that the largest common tower allows; higher is more alike. {} without such a tower."""
    pairs = [p for p in tower_pairs(a.roles, b.roles) if p[0].blocks and p[1].blocks]
    if not pairs:
        return {}
    towers = max(pairs, key=lambda p: len(p[0].blocks) * p[0].width)
    stores = a.store, b.store
    blocks = block_pairs(towers, stores)
    blocks = [blocks[n * len(blocks) // min(LAYERS, len(blocks))] for n in range(min(LAYERS, len(blocks)))]
    turn = _turn(towers, a, b)
    values: dict[str, list[float]] = {name: [] for name in NAMES}
    if turn is not None:
        values["trace"].append(float(np.trace(turn)) / len(turn))
    for x, y in blocks:
        if x.attention is not None and y.attention is not None:
            values["cka"] += _cka((x, y), (x.attention, y.attention), stores, turn)
            values["spectra"] += _spectra((x, y), (x.attention, y.attention), stores)
        if len(x.mlps) == len(y.mlps) == 1:
            values["match"] += _match((x, y), (x.mlps[0], y.mlps[0]), stores, turn)
    return {name: float(np.mean(found)) for name, found in values.items() if found}


def unbiased_cka(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Linear CKA of two tables [n, features] over the same n things, from the unbiased estimate of HSIC (Song
    et al. 2012): 0 on average for independent tables, 1 for tables equal up to rotation and scale."""
    grams = [_centred(m.astype(np.float64) @ m.T.astype(np.float64)) for m in (x, y)]
    cross, own, other = ((g * h).sum() for g, h in ((grams[0], grams[1]), (grams[0],) * 2, (grams[1],) * 2))
    return float(cross / np.sqrt(own * other)) if own > 0 and other > 0 else 0.0


def _centred(gram: NDArray[Any]) -> NDArray[Any]:
    """U-centred: the inner product of two such matrices is n (n - 3) times the unbiased HSIC (Székely and
    Rizzo 2014)."""
    n = len(gram)
    np.fill_diagonal(gram, 0)
    sums = gram.sum(0)
    out: NDArray[Any] = gram - sums[:, None] / (n - 2) - sums / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0)
    return out


def _turn(towers: tuple[Tower, Tower], a: Side, b: Side) -> NDArray[np.float64] | None:
    """The rotation that takes one side's embeddings to the other's best (Procrustes)."""
    views = [t.embedding for t in towers]
    if views[0] is None or views[1] is None:
        return None
    width = towers[0].width
    tables = _tables((views[0], views[1]), a, b, ROWS_PER_CHANNEL * width)
    if len(tables[0]) < width:
        return None
    left, _, right = np.linalg.svd(tables[0].T @ tables[1])
    turn: NDArray[np.float64] = left @ right
    return turn


def _tables(views: tuple[View, View], a: Side, b: Side, most: int) -> tuple[Floats, Floats]:
    """Rows of both embeddings that stand for the same tokens, at most ``most``."""
    rows = [view_shape(s.store, v)[0] for s, v in zip((a, b), views, strict=True)]
    vocabularies = [s.tokenizer.vocab if s.tokenizer is not None else None for s in (a, b)]
    first, second = vocabularies
    if first and second and dict(first) != dict(second):
        ids = [(i, second[t]) for t, i in first.items() if t in second]
        ids = sorted((i, j) for i, j in ids if i < rows[0] and j < rows[1])[:most]
    else:
        ids = [(i, i) for i in range(min(*rows, most))]
    tables = []
    for side, view, places in zip((a, b), views, zip(*ids, strict=True) if ids else ((), ()), strict=True):
        last = max(places, default=-1) + 1
        tables.append(read(side.store, replace(view, stop=view.start + last))[list(places)])
    return tables[0], tables[1]


def _reading(store: TensorStore, view: View, norm: Norm | None) -> Floats:
    matrix = read(store, view)
    if norm is not None:
        matrix = matrix * read(store, norm.gain)
    return matrix


def _cka(
    blocks: tuple[Block, Block],
    pair: tuple[Attention, Attention],
    stores: tuple[TensorStore, TensorStore],
    turn: NDArray[np.float64] | None,
) -> list[float]:
    found = []
    for part in ("q", "k"):
        a, b = (
            _reading(s, getattr(x, part), block.before_attention)
            for s, x, block in zip(stores, pair, blocks, strict=True)
        )
        if a.shape[1] == b.shape[1]:
            width = a.shape[1]
            chosen = np.arange(min(width, CHANNELS)) * width // min(width, CHANNELS)
            turned = turn is not None and len(turn) == width
            own = a @ turn[:, chosen] if turned and turn is not None else a[:, chosen]
            found.append(unbiased_cka(own.T, b[:, chosen].T))
    return found


def _match(
    blocks: tuple[Block, Block],
    pair: tuple[Mlp, Mlp],
    stores: tuple[TensorStore, TensorStore],
    turn: NDArray[np.float64] | None,
) -> list[float]:
    """The share of hidden units that two matrices, each by itself, give the same counterpart."""
    first: list[NDArray[Any]] = []
    second: list[NDArray[Any]] = []
    for side, (mlp, store, block) in enumerate(zip(pair, stores, blocks, strict=True)):
        up = _reading(store, mlp.up, block.before_mlp)
        other = read(store, mlp.down).T if mlp.gate is None else _reading(store, mlp.gate, block.before_mlp)
        rows = np.arange(min(len(up), HIDDEN)) * len(up) // min(len(up), HIDDEN) if side == 0 else slice(None)
        width = up.shape[1]
        chosen = np.arange(min(width, CHANNELS)) * width // min(width, CHANNELS)
        turned = side == 0 and turn is not None and len(turn) == width
        for found, matrix in ((first, up[rows]), (second, other[rows])):
            found.append(matrix @ turn[:, chosen] if turned and turn is not None else matrix[:, chosen])
    if len({m.shape[1] for m in (*first, *second)}) > 1:
        return []
    maps = [dict(zip(*map(list, assigned([f[0]], [f[1]])), strict=True)) for f in (first, second)]
    return [sum(maps[1].get(i) == j for i, j in maps[0].items()) / len(first[0])]


def _spectra(
    blocks: tuple[Block, Block], pair: tuple[Attention, Attention], stores: tuple[TensorStore, TensorStore]
) -> list[float]:
    """Minus the mean difference of the logarithms of singular values, heads assigned to each other."""
    found = []
    for near, far in (("k", "q"), ("v", "o")):
        sides = [
            _head_spectra(x, near, far, store, block)
            for x, store, block in zip(pair, stores, blocks, strict=True)
        ]
        if sides[0].shape[1] == sides[1].shape[1]:
            distance = np.abs(sides[0][:, None] - sides[1][None]).mean(axis=2)
            found.append(-float(distance[best(-distance)].mean()))
    return found


def _head_spectra(x: Attention, near: str, far: str, store: TensorStore, block: Block) -> NDArray[Any]:
    """[heads, size]: logarithms of the singular values of each head's product of two matrices, with mean 0.
    They are the roots of the eigenvalues of the product of two Gram matrices."""
    first = _reading(store, getattr(x, near), None if x.cross else block.before_attention)
    if far == "o":
        second = read(store, x.o).T
    else:
        second = _reading(store, x.q, block.before_attention)
    a = first.reshape(x.groups, x.size, -1).astype(np.float64)
    b = second.reshape(x.heads, x.size, -1).astype(np.float64)
    grams = [m @ m.transpose(0, 2, 1) for m in (a, b)]
    product = np.repeat(grams[0], x.heads // x.groups, axis=0) @ grams[1]
    values = np.sort(np.abs(np.linalg.eigvals(product)), axis=1)[:, ::-1]
    logs = 0.5 * np.log(np.maximum(values, np.maximum(values[:, :1] * 1e-12, _TINY)))
    made: NDArray[Any] = logs - logs.mean()
    return made
