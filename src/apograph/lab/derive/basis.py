"""Changes of basis that leave every logit as it is (up to rounding): what order and signs are a part of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Norm, View
from apograph.lab.derive import Manipulation, Work, copied
from apograph.lab.derive.symmetry import attention_of, on_channels
from apograph.lab.layout import read, tower_of, write
from apograph.lab.train import Weights

Matrix = NDArray[np.float64]


def gains_folded(work: Work) -> None:
    """Every RMSNorm's gain multiplied into the matrices that read it; the gains become 1. Llama-like only."""
    weights, tower = copied(work.model.weights), tower_of(work.model)
    for block in tower.blocks:
        a, mlp = attention_of(block), block.mlps[0]
        _fold(weights, block.before_attention, (a.q, a.k, a.v))
        _fold(weights, block.before_mlp, (mlp.gate, mlp.up))
    _fold(weights, tower.last, (tower.head,))
    work.model = work.model.using(weights)


def rotated(work: Work) -> None:
    """The residual stream in another orthonormal basis, gains folded first (SliceGPT, arXiv 2401.15024,
    section 3). Llama-like only."""
    gains_folded(work)
    turn_residual(work, orthogonal(work.random, tower_of(work.model).width))


def turn_residual(work: Work, turn: Matrix) -> None:
    """Residual vectors x become x @ turn; gains must be folded."""
    weights = copied(work.model.weights)
    matrices = {n: w for n, w in weights.items() if w.ndim > 1}
    on_channels(
        work.model,
        matrices,
        lambda m: (m.astype(float) @ turn).astype(np.float32),
        lambda m: (turn.T @ m.astype(float)).astype(np.float32),
    )
    work.model = work.model.using({**weights, **matrices})


def values_mixed(work: Work) -> None:
    """In every key/value group the values in another basis, undone in the output projection: a random
    orthogonal matrix times scales from 1/2 to 2."""
    weights, tower = copied(work.model.weights), tower_of(work.model)
    for block in tower.blocks:
        a = attention_of(block)
        mixes = np.stack(
            [
                np.diag(2 ** work.random.uniform(-1, 1, a.size)) @ orthogonal(work.random, a.size)
                for _ in range(a.groups)
            ]
        )
        mix_values(weights, a, mixes)
    work.model = work.model.using(weights)


def mix_values(weights: Weights, a: Attention, mixes: Matrix) -> None:
    """Values of group g become ``mixes[g]`` [size, size] times what they were; o undoes it."""
    share = a.heads // a.groups
    inner = read(weights, a.v).astype(float).reshape(a.groups, a.size, -1)
    write(weights, a.v, np.matmul(mixes, inner).reshape(a.groups * a.size, -1).astype(np.float32))
    bias = a.biases[2]
    if bias is not None:
        split = read(weights, bias).astype(float).reshape(a.groups, a.size, 1)
        write(weights, bias, np.matmul(mixes, split).reshape(-1).astype(np.float32))
    undo = np.repeat(np.linalg.inv(mixes), share, axis=0)
    columns = read(weights, a.o).astype(float).reshape(-1, a.heads, a.size).transpose(1, 0, 2)
    out = np.matmul(columns, undo).transpose(1, 0, 2)
    write(weights, a.o, out.reshape(len(out), -1).astype(np.float32))


def planes_turned(work: Work) -> None:
    """Every rotated plane of k and of its query heads turned by one random angle. Only with RoPE."""
    weights, tower = copied(work.model.weights), tower_of(work.model)
    for block in tower.blocks:
        a = attention_of(block)
        angles = work.random.uniform(0, 2 * np.pi, (a.groups, 1, a.size // 2, 1))
        turn_planes(weights, a.k, a.groups, angles)
        turn_planes(weights, a.q, a.heads, np.repeat(angles, a.heads // a.groups, axis=0))
    work.model = work.model.using(weights)


def turn_planes(weights: Weights, view: View, heads: int, angles: Matrix) -> None:
    """Rows i and i + size/2 of every head turned in their plane; ``angles`` [heads, 1, size/2, 1]."""
    matrix = read(weights, view).astype(float)
    halves = matrix.reshape(heads, 2, -1, matrix.shape[1])
    first, second = halves[:, :1], halves[:, 1:]
    c, s = np.cos(angles), np.sin(angles)
    turned = np.concatenate([c * first - s * second, s * first + c * second], axis=1)
    write(weights, view, turned.reshape(matrix.shape).astype(np.float32))


def orthogonal(random: np.random.Generator, n: int) -> Matrix:
    """A uniformly random orthogonal matrix [n, n] (Mezzadri 2007, section 5)."""
    q, r = np.linalg.qr(random.standard_normal((n, n)))
    turned: Matrix = q * np.sign(np.diag(r))
    return turned


def _fold(weights: Weights, norm: Norm | None, readers: tuple[View | None, ...]) -> None:
    assert norm is not None
    gain = read(weights, norm.gain)
    for view in readers:
        if view is not None:
            write(weights, view, read(weights, view) * gain)
    write(weights, norm.gain, np.ones_like(gain))


MANIPULATIONS: Mapping[str, Manipulation] = {
    "gains folded": gains_folded,
    "rotated": rotated,
    "values mixed": values_mixed,
    "planes turned": planes_turned,
}
