"""The derivations are what they say: each is measured here by plain arithmetic, without any examiner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apograph.lab.derive.quantisers import nf4_book
from apograph.release.tensor_store import open_store
from tests.evidence.derivations import (
    ADDED_ROWS,
    RANK,
    SIGMA,
    WORDS,
    Arrays,
    Family,
    is_linear,
    needs_minilm,
    new_name,
)

pytestmark = needs_minilm
QUERY, DENSE = "encoder.layer.1.attention.self.query.weight", "encoder.layer.1.output.dense.weight"
KEY = "encoder.layer.1.attention.self.key.weight"


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return Family(tmp_path_factory.mktemp("family"))


def read(path: Path) -> Arrays:
    store = open_store(path)
    arrays = {
        name: store.block(name, 0, int(np.prod(info.shape))).reshape(info.shape)
        for name, info in store.infos.items()
    }
    store.close()
    return arrays


def deltas(family: Family, name: str) -> dict[str, np.ndarray]:
    made = read(family[name])
    return {n: made[n].astype(float) - a for n, a in family.arrays.items() if a.dtype == np.float32}


def test_renamed_and_rounded(family: Family) -> None:
    assert family["copied"].read_bytes() == family["original"].read_bytes()
    made = read(family["renamed"])
    assert set(made) == {new_name(n) for n in family.arrays}
    assert sum(new_name(n) == n for n in family.arrays) <= 2  # the pooler
    for name, bits in (("bf16", 8), ("fp16", 11)):
        delta = deltas(family, name)[DENSE]
        assert (np.abs(delta) <= 2.0**-bits * np.abs(family.arrays[DENSE]) + 2.0**-25).all()
        assert delta.any()


@pytest.mark.parametrize("name", ["noise_fp32", "noise_fp16", "noise_bf16", "noise_reseeded"])
def test_noise_has_its_deviation(family: Family, name: str) -> None:
    delta = deltas(family, name)
    assert delta[DENSE].std() == pytest.approx(SIGMA, rel=0.01)
    same = np.corrcoef(delta[QUERY].ravel(), delta[KEY].ravel())[0, 1]
    assert (same > 0.99) == (name == "noise_reseeded")


@pytest.mark.parametrize(("name", "error"), [("int8", 0.03), ("q8_0", 0.01), ("q4_0", 0.12), ("nf4", 0.12)])
def test_quantised_within_their_steps(family: Family, name: str, error: float) -> None:
    made = read(family[name])
    mine = "blk.1.ffn_down.weight" if name.startswith("q") else DENSE
    difference = (made[mine] - family.arrays[DENSE]).std() / family.arrays[DENSE].std()
    assert error / 20 < difference < error


def test_the_nf4_book_is_the_published_one() -> None:
    assert nf4_book()[[0, 1, 7, 8, 14, 15]] == pytest.approx(
        [-1.0, -0.6961928, 0.0, 0.0795803, 0.7229568, 1.0], abs=1e-5
    )


def test_pruned_dropped_merged_and_extended(family: Family) -> None:
    zeros = (read(family["pruned"])[DENSE] == 0).mean()
    assert zeros == pytest.approx(0.5, abs=0.001)
    dropped = read(family["layer_dropped"])
    assert np.array_equal(
        dropped["encoder.layer.4.output.dense.weight"], family.arrays["encoder.layer.5.output.dense.weight"]
    )
    assert not any(name.startswith("encoder.layer.5.") for name in dropped)
    merged = deltas(family, "lora_merged")
    values = np.linalg.svd(merged[QUERY], compute_uv=False)
    assert values[RANK - 1] > 1000 * values[RANK]
    assert not merged[KEY].any()
    words = read(family["vocabulary_extended"])[WORDS]
    assert len(words) == len(family.arrays[WORDS]) + ADDED_ROWS
    assert np.array_equal(words[:-ADDED_ROWS], family.arrays[WORDS])


def test_trained_and_a_twin(family: Family) -> None:
    tuned, twin = read(family["fine_tuned"]), read(family["twin"])
    linear = [n for n, a in family.arrays.items() if is_linear(n, a) and n.startswith("encoder.")]
    for name in linear:
        original = family.arrays[name].ravel().astype(float)
        assert 0.99 < np.corrcoef(tuned[name].ravel(), original)[0, 1] < 1
        assert abs(np.corrcoef(twin[name].ravel(), original)[0, 1]) < 0.02
        assert 1e-5 < (tuned[name].ravel() - original).std() < 1e-3
