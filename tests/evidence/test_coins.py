"""Sign coins: exact p, corrections, units, exclusions, the ceiling; honest and dishonest pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from math import comb, log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apograph.align.modules import find_modules
from apograph.align.tensors import match_tensors
from apograph.evidence import coins
from apograph.evidence.coin_ceiling import ceilings
from apograph.evidence.coin_look import look as throw
from apograph.evidence.coin_test import holm_adjusted, two_sided
from apograph.evidence.registry import Case
from apograph.evidence.stream import stream
from apograph.findings import Bearing, Finding
from apograph.lab.founding.weights import Array, noised, safetensors
from apograph.release import open_release
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release
from apograph.report.words import text
from apograph.weigh.tails import sign_test
from tests.evidence.train_llama import CONFIG, GROUPS, HEADS, INNER, SIZE, initial, logits, trained

Weights = dict[str, Array]
STEPS = 30
Look = Callable[..., tuple[Finding | None, coins.Plan]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    def run(
        a: Weights, b: Weights, config: Mapping[str, Any] = CONFIG, base: Weights | None = None
    ) -> tuple[Finding | None, coins.Plan]:
        stores = tuple(store(tmp_path / name, w) for name, w in (("a", a), ("b", b)))
        planned = coins.plan(match_tensors(*stores).matches, stores, (config, config))
        stream(planned.fold.matches, *stores, [planned.fold])
        sides = [release(tmp_path / f"release {name}", w, config) for name, w in (("a", a), ("b", b))]
        bases = () if base is None else (release(tmp_path / "base", base, config),)
        return next(coins.findings(Case(*sides, bases=bases), planned), None), planned

    return run


def release(folder: Path, weights: Weights, config: Mapping[str, Any]) -> Release:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | dict(config)), "utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    return open_release(str(folder))


def store(path: Path, weights: Weights) -> TensorStore:
    path.with_suffix(".safetensors").write_bytes(safetensors(weights))
    return open_store(path.with_suffix(".safetensors"))


def flipped(weights: Weights, seed: int) -> Weights:
    """Signs of hidden units, value dimensions and rotated planes changed; the function is the same."""
    random = np.random.default_rng(seed)
    made = dict(weights)
    for name in [n for n in weights if n.endswith("up_proj.weight")]:
        at, down = name.removesuffix("mlp.up_proj.weight"), name.replace("up_", "down_")
        s = random.choice([-1, 1], len(weights[name])).astype(np.float32)
        made[name], made[down] = weights[name] * s[:, None], weights[down] * s
        s = random.choice([-1, 1], (GROUPS, SIZE)).astype(np.float32)
        wide = np.repeat(s, HEADS // GROUPS, axis=0).reshape(-1)
        v, o = f"{at}self_attn.v_proj.weight", f"{at}self_attn.o_proj.weight"
        made[v], made[o] = weights[v] * s.reshape(-1, 1), weights[o] * wide
        s = np.tile(random.choice([-1, 1], (GROUPS, SIZE // 2)), 2).astype(np.float32)
        wide = np.repeat(s, HEADS // GROUPS, axis=0).reshape(-1, 1)
        k, q = f"{at}self_attn.k_proj.weight", f"{at}self_attn.q_proj.weight"
        made[k], made[q] = weights[k] * s.reshape(-1, 1), weights[q] * wide
    return made


# The exact p and its corrections.


def test_p_by_hand() -> None:
    assert two_sided(3, 4) == pytest.approx(log10(2 * (4 + 1) / 16))
    assert two_sided(1, 4) == two_sided(3, 4)
    assert two_sided(2, 4) == 0.0
    assert two_sided(0, 0) == 0.0
    assert two_sided(5504, 5504) == pytest.approx(log10(2) - 5504 * log10(2))


@pytest.mark.parametrize(("heads", "n"), [(953, 5504), (60, 96), (7300, 14336), (14336, 14336)])
def test_p_agrees_with_the_log_space_sum(heads: int, n: int) -> None:
    assert two_sided(heads, n) == pytest.approx(sign_test(heads, n), rel=1e-9)


def test_holm_by_hand() -> None:
    assert holm_adjusted([log10(0.01), log10(0.04), log10(0.03)]) == pytest.approx(
        [log10(0.03), log10(0.06), log10(0.06)]
    )
    assert holm_adjusted([log10(0.9), log10(0.8)]) == [0.0, 0.0]


# Units.


def test_flips_change_no_logit_and_turn_exactly_the_coins(tmp_path: Path) -> None:
    import torch

    a = initial(1)
    b = flipped(a, 7)
    ids = torch.tensor([[5, 80, 200, 3, 3, 9]])
    values = [logits({n: torch.tensor(v) for n, v in w.items()}, ids) for w in (a, b)]
    assert torch.allclose(values[0], values[1], atol=1e-5)
    stores = store(tmp_path / "a", a), store(tmp_path / "b", b)
    planned = coins.plan(match_tensors(*stores).matches, stores, (CONFIG, CONFIG))
    stream(planned.fold.matches, *stores, [planned.fold])
    products = planned.fold.finish()
    assert sorted(m.family for m in products) == ["mlp", "mlp", "qk", "qk", "vo", "vo"]
    for module, (dot, own, other) in products.items():
        assert own == pytest.approx(other)
        assert 0 < int((dot > 0).sum()) < len(dot)
        if module.family != "qk":
            assert np.abs(dot) == pytest.approx(own), "whole units are flipped, so |cosine| is 1"


def test_products_by_hand(tmp_path: Path) -> None:
    a, b = initial(1), initial(2)
    stores = store(tmp_path / "a", a), store(tmp_path / "b", b)
    planned = coins.plan(match_tensors(*stores).matches, stores, (CONFIG, CONFIG))
    for block in (1 << 14, 1 << 19):
        fold = coins.ProductFold(planned.modules)
        stream(fold.matches, *stores, [fold], block=block)
        found = {(m.label, m.family): v for m, v in fold.finish().items()}
        at = "model.layers.1."
        up, down = (f"{at}mlp.{p}_proj.weight" for p in ("up", "down"))
        want = (a[up] * b[up]).sum(1) + (a[down] * b[down]).sum(0)
        assert found[f"{at}mlp", "mlp"][0] == pytest.approx(want, abs=1e-5)
        v, o = (f"{at}self_attn.{p}_proj.weight" for p in "vo")
        # Dimension 5 of key/value head 1 serves query heads 2 and 3.
        want = (a[v] * b[v])[SIZE + 5].sum() + sum((a[o] * b[o])[:, h * SIZE + 5].sum() for h in (2, 3))
        assert found[f"{at}self_attn", "vo"][0][SIZE + 5] == pytest.approx(want, abs=1e-5)
        k, q = (f"{at}self_attn.{p}_proj.weight" for p in "kq")
        dims = [2, 3, 2 + SIZE // 2, 3 + SIZE // 2]
        want = (a[k] * b[k])[dims].sum() + sum(
            (a[q] * b[q])[[h * SIZE + d for d in dims]].sum() for h in (0, 1)
        )
        assert found[f"{at}self_attn", "qk"][0][1] == pytest.approx(want, abs=1e-5)


# What is left out.


@pytest.mark.parametrize(
    ("changes", "config", "reason"),
    [
        ({"model.layers.0.mlp.gate_proj.weight": None}, CONFIG, ("mlp", "ungated")),
        (
            {"model.layers.0.mlp.norm.weight": (96,), "model.layers.0.mlp.norm.bias": (96,)},
            CONFIG,
            ("mlp", "norm"),
        ),
        ({"model.layers.0.self_attn.inner_norm.weight": (48,)}, {}, ("vo", "norm")),
        ({"model.layers.0.self_attn.q_norm.weight": (12,)}, {"layer_norm_eps": 1e-5}, ("qk", "norm")),
        ({}, {"rms_norm_eps": 1e-6}, ("qk", "geometry")),
        ({}, {**CONFIG, "partial_rotary_factor": 0.5}, ("qk", "geometry")),
    ],
)
def test_excluded(
    tmp_path: Path, changes: dict[str, Any], config: dict[str, Any], reason: tuple[str, str]
) -> None:
    weights = initial(0)
    for name, shape in changes.items():
        if shape is None:
            del weights[name]
        else:
            weights[name] = np.ones(shape, np.float32)
    stores = store(tmp_path / "a", weights), store(tmp_path / "b", weights)
    found, excluded = find_modules(match_tensors(*stores).matches, stores, (config, config))
    assert reason in {(e.family, e.reason) for e in excluded if "layers.0" in e.label}
    assert not [m for m in found if "layers.0" in m.label and m.family == reason[0]]


def test_an_rms_norm_on_q_is_harmless(tmp_path: Path) -> None:
    weights = initial(0) | {"model.layers.0.self_attn.q_norm.weight": np.ones(SIZE, np.float32)}
    stores = store(tmp_path / "a", weights), store(tmp_path / "b", weights)
    found, excluded = find_modules(match_tensors(*stores).matches, stores, (CONFIG, CONFIG))
    assert len(found) == 6
    assert excluded == []


def test_sides_that_name_gate_and_up_differently_are_not_tested(tmp_path: Path) -> None:
    a = initial(0)
    b = {n.replace("gate_", "?_").replace("up_", "gate_").replace("?_", "up_"): v for n, v in a.items()}
    stores = store(tmp_path / "a", a), store(tmp_path / "b", b)
    found, excluded = find_modules(match_tensors(*stores).matches, stores, (CONFIG, CONFIG))
    assert not [m for m in found if m.family == "mlp"]
    assert {e.reason for e in excluded} == {"role"}


def test_repeated_heads_are_thrown_once(look: Look) -> None:
    """Both models fill a shape with copies of heads: their coins are copies too."""
    config = {**CONFIG, "num_key_value_heads": HEADS}
    models = []
    for seed in (1, 2):
        w = initial(seed)
        for name in [n for n in w if ".k_proj" in n or ".v_proj" in n]:
            w[name] = np.repeat(w[name].reshape(GROUPS, SIZE, -1), HEADS // GROUPS, axis=0).reshape(
                -1, w[name].shape[1]
            )
        models.append(w)
    finding, planned = look(models[0], noised(models[0], 0.01, 3), config)
    assert finding is not None
    thrown = {(c.module.family, c.n) for c in throw(planned)}
    qk = HEADS * SIZE // 4  # too few to speak, so nothing is left out
    assert thrown == {("mlp", INNER), ("vo", GROUPS * SIZE), ("qk", qk)}


# Whole pairs.


def measures(finding: Finding) -> dict[str, Any]:
    return {m.name: m.value for m in finding.measures}


def test_a_noisy_copy_is_found_with_its_effect(look: Look) -> None:
    finding, _ = look(initial(1), noised(initial(1), 1 / 708, 9))
    assert finding is not None
    assert finding.bearing is Bearing.DISTINCTIVE
    told = measures(finding)
    assert told["coins_share"] == 1.0
    assert told["coins_cosine"] > 0.999
    assert told["coins_ratio"] >= 2
    assert finding.strength.log10_p == pytest.approx(log10(2 * 3 * 2 * 2) - 96 * log10(2))
    assert "10^27" in text(finding.message)


def test_a_base_explains_what_both_inherited(look: Look) -> None:
    base = initial(1)
    finding, _ = look(noised(base, 0.01, 1), noised(base, 0.01, 2), base=base)
    assert finding is not None
    assert finding.bearing is Bearing.CONTEXT
    assert measures(finding)["weights_bases"] == 1
    other, _ = look(noised(base, 0.01, 1), noised(base, 0.01, 2), base=initial(5))
    assert other is not None
    assert other.bearing is Bearing.DISTINCTIVE
    assert measures(other)["weights_bases"] == 0, "a stranger is no base"


def test_a_framed_pair_stays_below_the_effect(look: Look) -> None:
    """An accuser re-signs A towards B without changing what it computes: all heads, and nothing more."""
    a, b = initial(1), initial(2)
    for n in range(2):
        at = f"model.layers.{n}.mlp."
        s = np.sign((a[f"{at}up_proj.weight"] * b[f"{at}up_proj.weight"]).sum(1)
                    + (a[f"{at}down_proj.weight"] * b[f"{at}down_proj.weight"]).sum(0))  # fmt: skip
        a[f"{at}up_proj.weight"] *= s[:, None].astype(np.float32)
        a[f"{at}down_proj.weight"] *= s.astype(np.float32)
    finding, _ = look(a, b)
    assert finding is not None
    told = measures(finding)
    assert told["coins_passed"] == 2
    assert told["coins_share"] == 1.0
    assert finding.bearing is Bearing.SUPPORTING
    assert told["coins_ratio"] < 1


def test_no_module_no_finding(look: Look) -> None:
    finding, planned = look({"x.weight": initial(0)["lm_head.weight"]}, initial(1))
    assert finding is None
    assert planned.modules == ()


def test_independent_models_on_the_same_data_are_not_related(tmp_path: Path) -> None:
    """Five seeds, the same batches in the same order: no pair is called related, the coins are fair."""
    models = [trained(initial(seed), STEPS)[0] for seed in range(5)]
    stores = [store(tmp_path / str(n), w) for n, w in enumerate(models)]
    scores = []
    for a, b in combinations(stores, 2):
        planned = coins.plan(match_tensors(a, b).matches, (a, b), (CONFIG, CONFIG))
        stream(planned.fold.matches, a, b, [planned.fold])
        thrown = throw(planned)
        assert not any(c.counts for c in thrown)
        scores += [(2 * c.heads - c.n) / c.n**0.5 for c in thrown]
    assert 0.5 < np.var(scores) < 1.7, "10 pairs x 6 modules"


def test_training_from_one_start_keeps_the_coins_and_independent_starts_do_not(look: Look) -> None:
    start = initial(3)
    ends = [trained(start, STEPS, order)[0] for order in (0, 1)]
    finding, _ = look(*ends)
    assert finding is not None
    assert measures(finding)["coins_passed"] >= 2
    finding, _ = look(ends[0], trained(initial(4), STEPS, 0)[0])
    assert finding is not None
    assert finding.bearing is Bearing.AGAINST


# The ceiling.


def test_lossless_changes_reach_something_but_not_a_copy() -> None:
    random = np.random.default_rng(1)
    [plain] = ceilings([random.standard_normal((172, 1, 1, 2, 64))])
    assert 0.25 < plain < 0.5
    parts = [random.standard_normal((172, 1, 1, 2, 64)) for _ in range(6)]
    assert max(ceilings(parts)) < plain, "one rotation has to serve all"


def test_a_permuted_surrogate_is_found_again() -> None:
    """The optimiser itself works: it recovers a permutation with signs of the surrogate."""
    shape = (40, 1, 1, 2, 32)
    target = np.random.default_rng(0).standard_normal(shape)
    random = np.random.default_rng(1)
    turned = target[random.permutation(40)] * random.choice([-1, 1], (40, 1, 1, 1, 1))
    assert ceilings([turned])[0] == pytest.approx(1.0)


def test_comb_is_what_the_p_counts() -> None:
    assert two_sided(10, 12) == pytest.approx(log10(2 * (comb(12, 10) + 12 + 1) / 2**12))
