"""The role graph of made models whose units agree as trained ones do, under scrambled names and disguises."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from apograph.align.role_graph import find_roles, views_of
from apograph.align.roles import Roles
from tests.evidence.arrays_store import ArraysStore

WIDTH, HIDDEN, HEADS, GROUPS, SIZE, LAYERS, WORDS = 64, 176, 4, 2, 16, 4, 300
CONFIG = {"num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "head_dim": SIZE, "hidden_size": WIDTH}
Arrays = dict[str, np.ndarray]


def llama(seed: int = 0) -> Arrays:
    """Weights with what training leaves: units of one length in all matrices that hold them, channels of
    unequal use, gates with a direction in common, gains like the columns behind them."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal
    stream, late = (np.exp(0.5 * normal(WIDTH)) for _ in range(2))
    arrays = {"embed": normal((WORDS, WIDTH)) * stream, "head": normal((WORDS, WIDTH)) * late}
    for n in range(LAYERS):
        one, two = (np.exp(0.8 * normal(WIDTH)) for _ in range(2))
        unit = np.exp(0.6 * normal(HIDDEN))[:, None]
        mix_vo, mix_qk = (np.exp(0.5 * normal((GROUPS, 1, SIZE, 1))) for _ in range(2))
        spread = [np.linalg.qr(normal((SIZE, SIZE)))[0] for _ in range(2)]

        def heads(count: int, scale: np.ndarray, turn: np.ndarray) -> np.ndarray:
            matrix = normal((GROUPS, count // GROUPS, SIZE, WIDTH)) * scale
            return (turn @ matrix).reshape(count * SIZE, WIDTH)

        arrays |= {
            f"{n}.norm1": 1 + 0.2 * np.log(one),
            f"{n}.q": heads(HEADS, mix_qk, spread[0]) * one * stream,
            f"{n}.k": heads(GROUPS, mix_qk, spread[0]) * one * stream,
            f"{n}.v": heads(GROUPS, mix_vo, spread[1]) * one * stream,
            f"{n}.o": (heads(HEADS, mix_vo, spread[1]) * late).T,
            f"{n}.norm2": 1 + 0.2 * np.log(two),
            f"{n}.gate": unit * (normal((HIDDEN, WIDTH)) + 0.3 * normal(WIDTH)) * two * stream,
            f"{n}.up": unit * normal((HIDDEN, WIDTH)) * two * stream,
            f"{n}.down": (unit * normal((HIDDEN, WIDTH)) * late).T,
        }
    arrays["last"] = 1 + 0.05 * normal(WIDTH)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def scrambled(arrays: Mapping[str, np.ndarray], shuffle: bool) -> tuple[ArraysStore, dict[str, str]]:
    """The same tensors under meaningless names, and the true name of each."""
    rng = random.Random(3)
    names = list(arrays)
    if shuffle:
        rng.shuffle(names)
    true = {f"x{rng.getrandbits(48):012x}": name for name in names}
    return ArraysStore({new: arrays[old] for new, old in true.items()}), true


def told(roles: Roles, true: Mapping[str, str]) -> dict[str, set[Any]]:
    """Role and layer found for every true name."""
    found: dict[str, set[Any]] = {}

    def put(view: Any, role: str) -> None:
        if view is not None:
            found.setdefault(true[view.name], set()).add(role)

    for tower in roles.towers:
        put(tower.embedding, "embed")
        put(tower.head, "head")
        put(tower.last.gain if tower.last else None, "last")
        for b in tower.blocks:
            a = b.attention
            for role, view in zip("qkvo", (a.q, a.k, a.v, a.o) if a else (), strict=bool(a)):
                put(view, role)
            for m in b.mlps:
                put(m.gate, "gate")
                put(m.up, "up")
                put(m.down, "down")
            put(b.before_attention.gain if b.before_attention else None, "norm1")
            put(b.before_mlp.gain if b.before_mlp else None, "norm2")
    return found


def wrong(arrays: Mapping[str, np.ndarray], shuffle: bool) -> dict[str, set[Any]]:
    """The tensors whose role is not the true one."""
    store, true = scrambled(arrays, shuffle)
    found = told(find_roles(store, CONFIG), true)
    return {n: found.get(n, set()) for n in arrays if found.get(n) != {n.split(".")[-1]}}


def without_norms(found: Mapping[str, set[Any]]) -> dict[str, set[Any]]:
    return {n: r for n, r in found.items() if "norm" not in n and n != "last"}


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_matrix_has_its_role_whatever_names_and_order(shuffle: bool) -> None:
    assert not without_norms(wrong(llama(), shuffle))


def test_in_order_gains_have_their_roles_too() -> None:
    assert not wrong(llama(), False)


def disguised(arrays: Arrays, seed: int = 7) -> Arrays:
    """The same function: residual rotation with gains folded, hidden units permuted, signs flipped."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    new = dict(arrays)
    for n in range(LAYERS):
        order, sign = rng.permutation(HIDDEN), rng.choice([-1, 1], HIDDEN).astype(np.float32)
        one, two = arrays[f"{n}.norm1"], arrays[f"{n}.norm2"]
        for part in "qkv":
            new[f"{n}.{part}"] = arrays[f"{n}.{part}"] * one @ turn
        new[f"{n}.gate"] = (arrays[f"{n}.gate"] * two @ turn)[order]
        new[f"{n}.up"] = (arrays[f"{n}.up"] * two @ turn)[order] * sign[:, None]
        new[f"{n}.down"] = (turn.T @ arrays[f"{n}.down"])[:, order] * sign
        new[f"{n}.o"] = turn.T @ arrays[f"{n}.o"]
        new[f"{n}.norm1"] = new[f"{n}.norm2"] = np.ones(WIDTH, np.float32)
    new["embed"] = arrays["embed"] @ turn
    new["head"] = arrays["head"] * arrays["last"] @ turn
    new["last"] = np.ones(WIDTH, np.float32)
    return new


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_disguise_changes_no_role_of_a_matrix(shuffle: bool) -> None:
    assert not without_norms(wrong(disguised(llama()), shuffle))


def test_one_tower_of_whole_blocks() -> None:
    store, true = scrambled(llama(), False)
    roles = find_roles(store, CONFIG)
    (tower,) = roles.towers
    assert (tower.width, len(tower.blocks), roles.left_over) == (WIDTH, LAYERS, ())
    for n, block in enumerate(tower.blocks):
        assert block.attention is not None
        assert (block.attention.heads, block.attention.groups, block.attention.size) == (HEADS, GROUPS, SIZE)
        assert {true[v.name].split(".")[0] for v in views_of(tower) if v == block.attention.q} == {str(n)}


def test_random_weights_are_doubtful() -> None:
    rng = np.random.default_rng(1)
    arrays = {n: rng.standard_normal(a.shape).astype(np.float32) for n, a in llama().items() if a.ndim > 1}
    store, _ = scrambled(arrays, True)
    doubtful = find_roles(store, CONFIG).doubtful
    assert any("gate and up" in d for d in doubtful)
    assert any("v and o" in d for d in doubtful)
    assert any("embedding and head" in d for d in doubtful)


def test_what_has_no_role_is_left_over() -> None:
    arrays = {**llama(), "mask": np.zeros((1, 1, 8, 8), np.float32), "scale": np.ones(3, np.float32)}
    store, true = scrambled(arrays, False)
    assert {true[n] for n in find_roles(store, CONFIG).left_over} == {"mask", "scale"}
