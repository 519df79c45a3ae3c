"""The seed audit: PyTorch's numbers to the last bit, matrices found wherever they begin, strangers not."""

from __future__ import annotations

import numpy as np
import pytest

from apograph.evidence.seed_audit import Hit, _finding, audit
from apograph.evidence.seed_stream import centred, normals, unit_stream

WORDS = 1 << 16


def test_the_generator_is_mt19937() -> None:
    # The first outputs for seed 5489 as its authors print them (mt19937ar.out: 3499211612, 581869302, ...).
    first = np.array([3499211612, 581869302, 3890346734], np.uint64) & np.uint64((1 << 24) - 1)
    assert unit_stream(5489, 3) == pytest.approx(first / 2**24, abs=0)


def test_numbers_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(42)
    drawn = [torch.empty(64, 48).normal_(), torch.empty(30, 10).uniform_(-1, 1)]
    units = unit_stream(42, 64 * 48 + 300)
    assert np.abs(normals(units[: 64 * 48]) - drawn[0].numpy().ravel()).max() < 2e-6
    assert (centred(units[64 * 48 :]) == drawn[1].numpy().ravel()).all()


@pytest.mark.parametrize(("law", "place"), [("normal", 4096), ("uniform", 777)])
def test_a_trained_matrix_is_found_where_it_began(law: str, place: int) -> None:
    numbers = (normals if law == "normal" else centred)(unit_stream(1337, WORDS))
    start = numbers[place : place + 96 * 64].reshape(96, 64)
    random = np.random.default_rng(1)
    trained = 0.02 * (start + random.standard_normal(start.shape)).astype(np.float32)
    (hit,) = audit({("candidate", "w"): trained}, (42, 1337), WORDS)
    assert (hit.seed, hit.law, hit.place, hit.heads, hit.n) == (1337, law, place, 96, 96)
    assert hit.log10_p == pytest.approx(-95 * np.log10(2) + np.log10(2 * WORDS * 2))


def test_other_weights_are_not_found() -> None:
    other = np.random.default_rng(3).standard_normal((96, 64)).astype(np.float32)
    assert audit({("reference", "w"): other}, (0, 1, 42), WORDS) == []


def test_seeds_common_different_and_missing_are_told_apart() -> None:
    def key(*seeds: tuple[str, int]) -> str:
        return _finding([Hit(side, "w", seed, "normal", 0, 9, 9, -2.0) for side, seed in seeds]).message.key

    assert key(("reference", 0), ("candidate", 0), ("candidate", 42)) == "weights.seed.both"
    assert key(("reference", 0), ("candidate", 42)) == "weights.seed.different"
    assert key(("candidate", 42)) == "weights.seed.one"
    assert key() == "weights.seed.nothing"
