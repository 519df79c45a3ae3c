"""Modules from roles: what is tested, what is left out, and how layers are matched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from apograph.align.gauge.named import named_roles
from apograph.align.role_modules import block_pairs, role_modules, rotated
from apograph.align.roles import Norm, Roles
from apograph.lab.founding.weights import safetensors
from apograph.release.tensor_store import TensorStore, open_store
from tests.evidence.train_llama import CONFIG, GROUPS, HEADS, INNER, SIZE, initial


def opened(path: Path, weights: dict[str, np.ndarray]) -> TensorStore:
    path.write_bytes(safetensors(weights))
    return open_store(path)


def sides(folder: Path) -> tuple[tuple[TensorStore, TensorStore], tuple[Roles, Roles]]:
    stores = opened(folder / "a.safetensors", initial(1)), opened(folder / "b.safetensors", initial(2))
    return stores, (named_roles(stores[0], CONFIG), named_roles(stores[1], CONFIG))


def test_modules_and_their_shapes(tmp_path: Path) -> None:
    stores, roles = sides(tmp_path)
    found, excluded = role_modules(roles, stores, (CONFIG, CONFIG))
    assert excluded == []
    shapes = {(m.family, m.groups, m.units, m.shared, m.sure) for m in found}
    heads = GROUPS, SIZE, HEADS // GROUPS, True
    assert shapes == {("mlp", INNER, 1, 1, False), ("vo", *heads), ("qk", *heads)}
    assert found[0].halves[0].gain is not None


def test_left_out(tmp_path: Path) -> None:
    stores, (a, b) = sides(tmp_path)

    def told(roles: Roles) -> set[tuple[str, str]]:
        return {(e.family, e.reason) for e in role_modules((roles, b), stores, (CONFIG, CONFIG))[1]}

    def changed(**parts: object) -> Roles:
        blocks = tuple(replace(x, **parts) for x in a.towers[0].blocks)  # type: ignore[arg-type]
        return Roles((replace(a.towers[0], blocks=blocks),))

    mlp, attention = a.towers[0].blocks[0].mlps[0], a.towers[0].blocks[0].attention
    assert attention is not None
    assert told(changed(mlps=(replace(mlp, gate=None),))) == {("mlp", "ungated")}
    layer = Norm(attention.q, kind="layer")
    assert told(changed(mlps=(replace(mlp, inner=layer),))) == {("mlp", "norm")}
    assert told(changed(attention=replace(attention, q_norm=layer))) == {("qk", "norm")}
    assert told(changed(attention=replace(attention, inner=layer))) == {("vo", "norm")}
    assert told(changed(attention=replace(attention, size=SIZE * 2))) == {
        ("vo", "geometry"),
        ("qk", "geometry"),
    }


def test_what_a_doubt_leaves_out(tmp_path: Path) -> None:
    stores, sure = sides(tmp_path)

    def left_out(what: str, sides: int) -> set[str]:
        doubtful = [
            replace(r, doubtful=(f"{r.towers[0].blocks[0].label}: {what}",) if n < sides else ())
            for n, r in enumerate(sure)
        ]
        told = role_modules((doubtful[0], doubtful[1]), stores, (CONFIG, CONFIG))[1]
        assert {e.reason for e in told} <= {"role"}
        return {e.family for e in told}

    assert left_out("q and k", 1) == {"qk"}  # v and o are themselves whichever is q
    assert left_out("v and o", 1) == {"vo", "qk"}
    assert left_out("gate and up", 1) == set()  # the other side's signs are free
    assert left_out("gate and up", 2) == {"mlp"}  # two gates would agree in sign
    assert left_out("block", 2) == set()


def test_layers_in_another_order_are_matched_by_norms(tmp_path: Path) -> None:
    stores, roles = sides(tmp_path)
    a = initial(1)
    for name in [n for n in a if "layers.1" in n and "norm" not in n]:
        a[name] = 3 * a[name]
    b = {n.replace("layers.1", "layers.x").replace("layers.0", "layers.1").replace("layers.x", "layers.0"): v
         for n, v in a.items()}  # fmt: skip
    both = opened(tmp_path / "c.safetensors", a), opened(tmp_path / "d.safetensors", b)
    pair = named_roles(both[0], CONFIG).towers[0], named_roles(both[1], CONFIG).towers[0]
    labels = [(x.label, y.label) for x, y in block_pairs(pair, both)]
    assert labels == [("model.layers.0", "model.layers.1"), ("model.layers.1", "model.layers.0")]
    plain = block_pairs((roles[0].towers[0], roles[1].towers[0]), stores)
    assert all(x.label == y.label for x, y in plain), "strangers go by order"


def test_partly_rotated_heads() -> None:
    assert rotated(({}, {}), 64, True) == 64
    assert rotated(({"rotary_pct": 0.25}, {"text": {"rotary_pct": 0.25}}), 64, True) == 16
    assert rotated(({"rotary_pct": 0.25}, {"rotary_pct": 0.5}), 64, True) is None
    assert rotated(({"rotary_pct": 0.25}, {}), 64, False) is None
    assert rotated(({}, {}), 6, True) is None
