"""Every lossless disguise of a tiny Llama is undone, alone, together and under noise; strangers stay so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apograph.align.gauge import AlignedStore, Gauge, recover
from tests.align.gauge import tiny
from tests.align.gauge.forge import forged
from tests.align.gauge.tiny import Weights
from tests.evidence.arrays_store import ArraysStore

REFERENCE = tiny.weights(1)
IDS = np.random.default_rng(0).integers(0, tiny.VOCABULARY, 20)


def found(candidate: Weights, reference: Weights = REFERENCE) -> tuple[Gauge, AlignedStore]:
    a, b = ArraysStore(tiny.stored(reference)), ArraysStore(tiny.stored(candidate))
    gauge = recover(a, b, tiny.roles(reference), tiny.roles(candidate))
    return gauge, AlignedStore(gauge, a, b, range(len(gauge.modules)))


def whole(store: Any, name: str) -> np.ndarray[Any, Any]:
    shape = store.infos[name].shape
    return np.asarray(store.block(name, 0, int(np.prod(shape)))).reshape(shape)


def distance(store: AlignedStore, wanted: Weights) -> float:
    """The largest difference from ``wanted``, over the matrices, relative to their spread."""
    matrices = {n: v for n, v in wanted.items() if v.ndim == 2}
    assert set(store.infos) == set(matrices)
    return max(float(np.abs(whole(store, n) - v).max() / v.std()) for n, v in matrices.items())


def random() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("name", tiny.LOSSLESS)
def test_a_lossless_disguise_is_undone(name: str) -> None:
    pytest.importorskip("transformers", reason="the logits are those of transformers' Llama")
    disguised = tiny.LOSSLESS[name](REFERENCE, random())
    assert np.abs(tiny.logits(disguised, IDS) - tiny.logits(REFERENCE, IDS)).max() < 1e-4
    gauge, store = found(disguised)
    assert distance(store, REFERENCE) < 1e-4
    assert all(m.held > 0.999 and m.chance < 0.15 for m in gauge.modules)
    exact = all(store.exact(tensor) for tensor in store.infos)
    assert exact == (name in ("units_permuted", "units_flipped", "heads_permuted", "channels_permuted"))


def test_all_disguises_together_are_undone() -> None:
    disguised = tiny.everything(REFERENCE, random())
    gauge, store = found(disguised)
    assert distance(store, REFERENCE) < 1e-4
    assert gauge.streams[0].basis == "rotated"
    mlp = next(m for m in gauge.modules if m.family == "mlp")
    assert mlp.moved > 240
    assert mlp.flipped > 90
    assert mlp.scale == pytest.approx((1 / np.e, np.e), rel=0.1)
    assert {m.mixing for m in gauge.modules if m.family == "vo"} == {"any"}
    assert {m.mixing for m in gauge.modules if m.family == "qk"} == {"planes"}


def test_noise_under_all_disguises_comes_back() -> None:
    noisy = tiny.noised(REFERENCE, random())
    gauge, store = found(tiny.everything(noisy, random()))
    left = {n: whole(store, n) - REFERENCE[n] for n in store.infos}
    assert all(0.018 < value.std() < 0.022 for value in left.values())
    assert all(m.held > 0.9 for m in gauge.modules)


@pytest.mark.parametrize("change", [tiny.renumbered, lambda m, r: tiny.renumbered(tiny.everything(m, r), r)])
def test_a_renumbered_vocabulary_is_put_in_order(change: Any) -> None:
    gauge, store = found(change(REFERENCE, random()))
    assert gauge.streams[0].rows_moved > 590
    assert distance(store, REFERENCE) < 1e-4


def test_values_that_only_moved_are_the_stored_ones() -> None:
    steps = {n: np.round(v * 40) / 40 for n, v in REFERENCE.items()}
    moved = tiny.channels_permuted(
        tiny.heads_permuted(tiny.units_permuted(steps, random()), random()), random()
    )
    _, store = found(moved)
    assert all(store.exact(name) for name in store.infos)
    for name in store.infos:
        assert np.array_equal(whole(store, name), steps[name].astype(np.float32))


@pytest.mark.parametrize("step", [1, 1000, 5000])
def test_nothing_depends_on_how_much_is_read_at_once(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disguised = tiny.renumbered(tiny.everything(REFERENCE, random()), random())
    _, whole_store = found(disguised)
    for module in ("sketch", "store", "table"):
        monkeypatch.setattr(f"apograph.align.gauge.{module}.STEP", step)
    gauge, store = found(disguised)
    assert all(m.held > 0.999 for m in gauge.modules)
    for name in store.infos:
        assert np.allclose(whole(store, name), whole(whole_store, name), atol=1e-5)


@pytest.mark.parametrize("blocks", [7, 128, 1000])
def test_any_block_has_the_same_values(blocks: int) -> None:
    _, store = found(tiny.everything(REFERENCE, random()))
    for name in ("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"):
        flat = whole(store, name).reshape(-1)
        assert np.allclose(store.block(name, 300, 300 + blocks), flat[300 : 300 + blocks], rtol=1e-6)
    with pytest.raises(IndexError):
        store.block("lm_head.weight", 0, 10**9)


def test_layers_dropped_and_exchanged_are_found() -> None:
    def layer(name: str) -> str:
        return (
            name.replace("layers.2.", "layers.x.").replace("layers.0.", "layers.1.").replace("s.x.", "s.0.")
        )

    kept = {layer(n): v for n, v in REFERENCE.items() if ".layers.1." not in n}
    gauge, store = found(tiny.everything(kept, random()))
    assert gauge.layers == (
        ("model.layers.0", "model.layers.1"),
        ("model.layers.2", "model.layers.0"),
    )
    assert gauge.left == ("model.layers.1",)
    assert distance(store, {n: v for n, v in REFERENCE.items() if ".layers.1." not in n}) < 1e-4


def test_units_that_were_cut_out_are_zero() -> None:
    cut = dict(REFERENCE)
    kept = np.sort(random().permutation(tiny.INNER)[:200])
    for at in tiny.layers_of(cut):
        for part in ("gate", "up"):
            cut[f"{at}mlp.{part}_proj.weight"] = cut[f"{at}mlp.{part}_proj.weight"][kept]
        cut[f"{at}mlp.down_proj.weight"] = cut[f"{at}mlp.down_proj.weight"][:, kept]
    gauge, store = found(cut)
    assert [m.paired for m in gauge.modules if m.family == "mlp"] == [200] * 3
    up = whole(store, "model.layers.0.mlp.up_proj.weight")
    assert np.array_equal(up[kept], REFERENCE["model.layers.0.mlp.up_proj.weight"][kept].astype(np.float32))
    assert not up[np.setdiff1d(np.arange(tiny.INNER), kept)].any()


def test_strangers_have_no_gauge() -> None:
    stranger = tiny.weights(2)
    assert found(stranger)[0].modules == ()
    for change in (lambda m: m, lambda m: tiny.rotated(m, random())):
        shared = change({**stranger, "model.embed_tokens.weight": REFERENCE["model.embed_tokens.weight"]})
        gauge, _ = found(shared)
        assert gauge.streams[0].agreement > 0.99
        assert gauge.modules == ()


def test_a_forged_reference_stays_far_below_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="the logits are those of transformers' Llama")
    own, target = forged(REFERENCE, tiny.weights(2))
    assert np.abs(tiny.logits(own, IDS) - tiny.logits(REFERENCE, IDS)).max() < 1e-4
    assert found(target, own)[0].modules == ()
    # Even when the search for layers does not stop there:
    monkeypatch.setattr("apograph.align.gauge.layers.CHANCE", 0.0)
    gauge, _ = found(target, own)
    reached = {f: max(m.held for m in gauge.modules if m.family == f) for f in ("mlp", "vo", "qk")}
    assert 0.1 < reached["mlp"] < 0.2
    assert 0.05 < reached["vo"] < 0.25
    assert reached["qk"] < 0.15
