"""What somebody can do who publishes last: make one model look like another without changing its answers."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from tests.align.gauge.tiny import (
    GROUPS,
    HEADS,
    SIZE,
    WIDTH,
    WRITERS,
    Array,
    Weights,
    gains_folded,
    in_basis,
    layers_of,
)

ROUNDS = 5


def forged(own: Weights, target: Weights) -> tuple[Weights, Weights]:
    """``own`` (and ``target``, its gains folded) after rounds of: hidden units and heads put in the order and
    signs, value heads and rotary planes in the basis, the residual stream in the rotation that fit best."""
    own, target = gains_folded(own), gains_folded(target)
    for _ in range(ROUNDS):
        for at in layers_of(own):
            own = own | _units(own, target, f"{at}mlp.") | _heads(own, target, f"{at}self_attn.")
        cross = np.zeros((WIDTH, WIDTH))
        for name, value in own.items():
            if value.ndim == 2 and ".layers." in name:
                turned = any(w in name for w in WRITERS)
                a, b = (value.T, target[name].T) if turned else (value, target[name])
                cross += a.T @ b
        left, _, right = np.linalg.svd(cross)
        own = in_basis(own, left @ right)
    return own, target


def _unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def _units(own: Weights, target: Weights, at: str) -> Weights:
    gate, up, down = (own[f"{at}{p}_proj.weight"] for p in ("gate", "up", "down"))
    wanted = [_unit(target[f"{at}{p}_proj.weight"]) for p in ("gate", "up")]
    wide = _unit(target[f"{at}down_proj.weight"].T)
    gain = wanted[0] @ _unit(gate).T + np.abs(wanted[1] @ _unit(up).T + wide @ _unit(down.T).T)
    order = linear_sum_assignment(-gain)[1]
    gate, up, down = gate[order], up[order], down[:, order]
    sign = np.sign((wanted[1] * _unit(up)).sum(1) + (wide * _unit(down.T)).sum(1))
    return {
        f"{at}gate_proj.weight": gate,
        f"{at}up_proj.weight": up * sign[:, None],
        f"{at}down_proj.weight": down * sign,
    }


def _split(weights: Weights, at: str) -> list[Array]:
    """q, k, v, o as [groups, heads of the group, size, width]."""
    q, k, v, o = (weights[f"{at}{p}_proj.weight"] for p in "qkvo")
    return [m.reshape(GROUPS, -1, SIZE, WIDTH) for m in (q, k, v, o.T)]


def _heads(own: Weights, target: Weights, at: str) -> Weights:
    q, k, v, o = _split(own, at)
    q2, k2, v2, o2 = _split(target, at)

    def cross(i: int, j: int) -> Array:
        x, y = np.concatenate([v2[i], o2[i]]), np.concatenate([v[j], o[j]])
        return np.asarray(np.einsum("hsw,htw->st", x, y))

    gain = [
        [np.linalg.svd(cross(i, j), compute_uv=False).sum() for j in range(GROUPS)] for i in range(GROUPS)
    ]
    order = linear_sum_assignment(-np.array(gain))[1]
    q, k, v, o = (m[order].copy() for m in (q, k, v, o))
    half = SIZE // 2
    for i in range(GROUPS):
        x, y = np.concatenate([v2[i], o2[i]]), np.concatenate([v[i], o[i]])
        left, _, right = np.linalg.svd(np.einsum("hsw,htw->st", x, y))
        v[i], o[i] = left @ right @ v[i], left @ right @ o[i]
        own_planes, planes = (
            [m[:, :half] + 1j * m[:, half:] for m in (a, b)] for a, b in ((q[i], k[i]), (q2[i], k2[i]))
        )
        turn = sum((b * a.conj()).sum((0, 2)) for a, b in zip(own_planes, planes, strict=True))
        turn = (turn / np.abs(turn))[None, :, None]
        for m, a in ((q, own_planes[0]), (k, own_planes[1])):
            m[i] = np.concatenate([(a * turn).real, (a * turn).imag], 1)
    return {
        f"{at}q_proj.weight": q.reshape(HEADS * SIZE, WIDTH),
        f"{at}k_proj.weight": k.reshape(GROUPS * SIZE, WIDTH),
        f"{at}v_proj.weight": v.reshape(GROUPS * SIZE, WIDTH),
        f"{at}o_proj.weight": o.reshape(HEADS * SIZE, WIDTH).T,
    }
