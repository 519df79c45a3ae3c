"""Models made from several: averages, and a model made as alike to another as lossless changes allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Mlp
from apograph.lab.derive import Manipulation, Work, copied
from apograph.lab.derive.basis import gains_folded, mix_values, turn_planes, turn_residual
from apograph.lab.derive.symmetry import attention_of
from apograph.lab.layout import read, tower_of, write
from apograph.lab.train import Weights

Matrix = NDArray[np.float64]
ROUNDS = 4


def merged(work: Work, shares: Sequence[float]) -> None:
    """The sum of all parents' weights, each times its share."""
    weights = {
        name: sum(
            (np.float32(s) * p.weights[name] for s, p in zip(shares, work.parents, strict=True)),
            np.zeros_like(array),
        )
        for name, array in work.model.weights.items()
    }
    work.facts["shares"] = list(shares)
    work.model = work.model.using(weights)


def framed(work: Work) -> None:
    """The first parent, unrelated to the second, made like it without a change to what it computes.

    Gains are folded; then rounds of: hidden units and key/value groups assigned by the size of their inner
    products (Kuhn-Munkres), signs, values mixed and planes turned towards the target, the residual stream
    rotated by Procrustes' solution; at last the target's own gains are taken on. Llama-like only.
    """
    gains_folded(work)
    target = Work([work.parents[1]], 0)
    gains_folded(target)
    aim = target.model.weights
    for round_ in range(ROUNDS + 1):
        weights = copied(work.model.weights)
        for block in tower_of(work.model).blocks:
            _units_towards(weights, aim, block.mlps[0])
            _groups_towards(weights, aim, attention_of(block))
        work.model = work.model.using(weights)
        if round_ < ROUNDS:
            turn_residual(work, _procrustes(_stream(work, weights), _stream(work, aim)))
    weights = copied(work.model.weights)
    for block in tower_of(work.model).blocks:
        a, mlp = attention_of(block), block.mlps[0]
        readers = ((block.before_attention, (a.q, a.k, a.v)), (block.before_mlp, (mlp.gate, mlp.up)))
        for norm, matrices in readers:
            assert norm is not None
            gain = read(work.parents[1].weights, norm.gain)
            write(weights, norm.gain, gain)
            for view in matrices:
                assert view is not None
                write(weights, view, read(weights, view) / gain)
    work.model = work.model.using(weights)


def _units_towards(weights: Weights, aim: Weights, mlp: Mlp) -> None:
    from scipy.optimize import linear_sum_assignment

    assert mlp.gate is not None
    gate, up, down = (read(weights, v) for v in (mlp.gate, mlp.up, mlp.down))
    gates = read(aim, mlp.gate) @ gate.T
    free = read(aim, mlp.up) @ up.T + read(aim, mlp.down).T @ down
    order = linear_sum_assignment(-(gates + np.abs(free)))[1]
    signs = np.sign(free[np.arange(len(order)), order]).astype(np.float32)
    write(weights, mlp.gate, gate[order])
    write(weights, mlp.up, (up[order].T * signs).T)
    write(weights, mlp.down, down[:, order] * signs)


def _groups_towards(weights: Weights, aim: Weights, a: Attention) -> None:
    """Groups assigned, query heads with them; values and planes of each turned to fit."""
    from scipy.optimize import linear_sum_assignment

    share = a.heads // a.groups
    own, wanted = (_values(w, a) for w in (weights, aim))
    cross = np.einsum("gsx,htx->ghst", wanted, own)
    order = linear_sum_assignment(-np.linalg.svd(cross, compute_uv=False).sum(axis=-1))[1]
    for view, heads in ((a.q, a.groups), (a.k, a.groups), (a.v, a.groups)):
        matrix = read(weights, view)
        write(weights, view, matrix.reshape(heads, -1, matrix.shape[1])[order].reshape(matrix.shape))
    out = read(weights, a.o)
    turned = out.reshape(len(out), a.groups, share * a.size)[:, order].reshape(out.shape)
    write(weights, a.o, turned)
    own = _values(weights, a)
    left, _, right = np.linalg.svd(np.einsum("gsx,gtx->gst", wanted, own))
    mix_values(weights, a, left @ right)
    dot, area = 0.0, 0.0
    for view, heads in ((a.k, 1), (a.q, share)):
        shape = (a.groups, heads, 2, a.size // 2, -1)
        mine, theirs = (read(w, view).astype(float).reshape(shape) for w in (weights, aim))
        dot = dot + (mine * theirs).sum(axis=(1, 2, 4))
        area = area + (mine[:, :, 0] * theirs[:, :, 1] - mine[:, :, 1] * theirs[:, :, 0]).sum(axis=(1, 3))
    angles = np.arctan2(area, dot)[:, None, :, None]
    turn_planes(weights, a.k, a.groups, angles)
    turn_planes(weights, a.q, a.heads, np.repeat(angles, share, axis=0))


def _values(weights: Weights, a: Attention) -> Matrix:
    """[groups, size, channels of v and of each head's o]"""
    share = a.heads // a.groups
    v = read(weights, a.v).astype(float).reshape(a.groups, a.size, -1)
    o = read(weights, a.o).astype(float).T.reshape(a.groups, share, a.size, -1).transpose(0, 2, 1, 3)
    return np.concatenate([v, o.reshape(a.groups, a.size, -1)], axis=2)


def _stream(work: Work, weights: Weights) -> Matrix:
    """Every residual vector of the model: [vectors, width]."""
    tower = tower_of(work.model)
    readers, writers = [tower.embedding, tower.head], []
    for block in tower.blocks:
        a, mlp = attention_of(block), block.mlps[0]
        readers += [a.q, a.k, a.v, mlp.gate, mlp.up]
        writers += [a.o, mlp.down]
    rows = [read(weights, v) for v in readers if v is not None] + [read(weights, v).T for v in writers]
    return np.concatenate(rows).astype(float)


def _procrustes(own: Matrix, wanted: Matrix) -> Matrix:
    """The rotation that brings ``own`` nearest to ``wanted`` (Schönemann 1966)."""
    left, _, right = np.linalg.svd(own.T @ wanted)
    turn: Matrix = left @ right
    return turn


MANIPULATIONS: Mapping[str, Manipulation] = {"merged": merged, "framed": framed}
