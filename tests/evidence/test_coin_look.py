"""Pairs that identity leaves silent: reordered, rotated, pruned, duplicated; and what stays silent."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from apograph.align.tensors import match_tensors
from apograph.evidence import coins
from apograph.evidence.coin_look import Stores, look
from apograph.evidence.coin_repeats import once
from apograph.evidence.coin_test import Coins
from apograph.evidence.stream import stream
from apograph.lab.founding.weights import Array, noised, safetensors
from apograph.release.tensor_store import open_store
from tests.evidence.train_llama import CONFIG, GROUPS, HEADS, HIDDEN, INNER, SIZE, initial, trained

Weights = dict[str, Array]


def thrown(folder: Path, a: Weights, b: Weights) -> tuple[dict[tuple[str, str], Coins], Stores]:
    stores = []
    for name, weights in (("a", a), ("b", b)):
        path = folder / f"{name}.safetensors"
        path.write_bytes(safetensors(weights))
        stores.append(open_store(path))
    both = stores[0], stores[1]
    planned = coins.plan(match_tensors(*both).matches, both, (CONFIG, CONFIG))
    stream(planned.fold.matches, *both, [planned.fold])
    return {(c.module.label, c.module.family): c for c in look(planned)}, both


def reordered(weights: Weights, seed: int) -> Weights:
    """Hidden units, key/value heads and value dimensions in another order; the function is the same."""
    random = np.random.default_rng(seed)
    made = dict(weights)
    for n in range(2):
        at = f"model.layers.{n}."
        order = random.permutation(INNER)
        for part in ("gate", "up"):
            made[f"{at}mlp.{part}_proj.weight"] = weights[f"{at}mlp.{part}_proj.weight"][order]
        made[f"{at}mlp.down_proj.weight"] = weights[f"{at}mlp.down_proj.weight"][:, order]
        dims = random.permutation(SIZE)
        for part in "kv":
            name = f"{at}self_attn.{part}_proj.weight"
            heads = weights[name].reshape(GROUPS, SIZE, HIDDEN)[::-1]
            made[name] = (heads[:, dims] if part == "v" else heads).reshape(-1, HIDDEN)
        for part in "qo":
            name = f"{at}self_attn.{part}_proj.weight"
            matrix = weights[name] if part == "q" else weights[name].T
            heads = matrix.reshape(GROUPS, HEADS // GROUPS, SIZE, HIDDEN)[::-1, ::-1]
            matrix = (heads if part == "q" else heads[:, :, dims]).reshape(-1, HIDDEN)
            made[name] = np.ascontiguousarray(matrix if part == "q" else matrix.T)
    return made


def rotated(weights: Weights, seed: int) -> Weights:
    """The residual stream in another basis, gains folded in before."""
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((HIDDEN, HIDDEN)))[0].astype(np.float32)
    made = {}
    for name, w in weights.items():
        if name.endswith("norm.weight"):
            made[name] = np.ones_like(w)
        elif "o_proj" in name or "down_proj" in name:
            made[name] = np.ascontiguousarray(turn.T @ w)
        elif "lm_head" in name:
            made[name] = w * weights["model.norm.weight"] @ turn
        elif "embed" in name:
            made[name] = w @ turn
        else:
            norm = "input" if "self_attn" in name else "post_attention"
            made[name] = w * weights[f"{name[:15]}{norm}_layernorm.weight"] @ turn
    return made


def test_reordered_units_are_found_by_content(tmp_path: Path) -> None:
    a = initial(1)
    told, _ = thrown(tmp_path, a, noised(reordered(a, 3), 0.02, 5))
    for (_, family), c in told.items():
        assert c.counts == (family == "mlp"), "24 and 6 coins are too few for the floor"
        if family != "qk":
            assert c.pairing == "content"
            assert c.share == 1


def test_a_rotated_and_reordered_copy_is_found(tmp_path: Path) -> None:
    a = trained(initial(1), 5)[0]
    told, _ = thrown(tmp_path, a, noised(rotated(reordered(a, 3), 4), 0.01, 5))
    mlps = [c for (_, family), c in told.items() if family == "mlp"]
    assert len(mlps) == 2
    assert all(c.counts and c.pairing == "rotated" for c in mlps)


def test_the_sides_swapped(tmp_path: Path) -> None:
    a, b = initial(1), noised(reordered(initial(1), 3), 0.02, 5)
    one, other = thrown(tmp_path, a, b)[0], thrown(tmp_path, b, a)[0]
    assert one.keys() == other.keys()
    for key, c in one.items():
        assert (c.heads, c.n, c.pairing) == (other[key].heads, other[key].n, other[key].pairing)


def test_content_pairs_of_independent_models_stay_fair(tmp_path: Path) -> None:
    """Blind pairs leave the coins fair, with shared frozen embeddings and the same data too."""
    from apograph.align.pairing import paired
    from apograph.evidence.coin_sketch import products, sketch

    shared = initial(99)["model.embed_tokens.weight"]
    models = [trained({**initial(n), "model.embed_tokens.weight": shared}, 10)[0] for n in range(4)]
    scores = []
    for a, b in combinations(models, 2):
        told, stores = thrown(tmp_path, a, b)
        assert not any(c.counts for c in told.values())
        for c in told.values():
            sides = [sketch(c.module, n, s, gated=True) for n, s in enumerate(stores)]
            dot = products(c.module, *paired(c.module.family, sides[0], sides[1]))[0]
            scores.append(np.sign(dot).sum() / len(dot) ** 0.5)
    assert 0.4 < np.mean(np.square(scores)) < 1.8, "6 pairs x 6 modules"


def test_duplicated_layers_count_once(tmp_path: Path) -> None:
    a = initial(1)
    for name in [n for n in a if "layers.0" in n]:
        a[name.replace("layers.0", "layers.1")] = a[name] + 0
    told, stores = thrown(tmp_path, a, noised(a, 0.01, 2))
    counted = [c for c in told.values() if c.counts]
    assert len(counted) == 2
    assert len(once(counted, stores)) == 1
    told, stores = thrown(tmp_path, initial(1), noised(initial(1), 0.01, 2))
    counted = [c for c in told.values() if c.counts]
    assert len(once(counted, stores)) == len(counted) == 2


def test_a_narrower_copy_is_found(tmp_path: Path) -> None:
    """Half of the hidden units were pruned away: the others are paired one to one."""
    a = initial(1)
    b = dict(a)
    kept = np.sort(np.random.default_rng(0).permutation(INNER)[: INNER // 2])
    for n in range(2):
        at = f"model.layers.{n}.mlp."
        for part in ("gate", "up"):
            b[f"{at}{part}_proj.weight"] = a[f"{at}{part}_proj.weight"][kept]
        b[f"{at}down_proj.weight"] = np.ascontiguousarray(a[f"{at}down_proj.weight"][:, kept])
    told, _ = thrown(tmp_path, a, noised(b, 0.01, 2))
    mlps = [c for (_, family), c in told.items() if family == "mlp"]
    assert len(mlps) == 2
    assert all(c.counts and c.n == INNER // 2 for c in mlps)
