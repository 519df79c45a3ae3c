"""The space of an output layer: by hand, by construction, and by chance."""

import numpy as np
import pytest

from apograph.evidence.output_space import chosen_tokens, chosen_vectors, residual, unrelated


def test_by_hand() -> None:
    """Four tokens, one dimension (1, -1, 0, 0); vectors of length 3 in it and 4 outside."""
    head = np.array([[1.0], [-1.0], [0.0], [0.0]])
    inside, outside = np.array([1.0, -1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, -1.0])
    vectors = np.stack([3 * inside + 4 * outside, -3 * inside - 4 * outside]) + 7.0
    assert residual(head, vectors) == pytest.approx(0.8)  # 4 of a length of 5


def test_a_model_lies_in_its_own_space_whatever_is_added() -> None:
    rng = np.random.default_rng(1)
    head, states = rng.normal(size=(300, 40)), rng.normal(size=(20, 40))
    logits = states @ head.T
    bias, norms = rng.normal(size=300), rng.normal(size=(20, 1))
    assert residual(head, logits + bias + norms) == pytest.approx(0.0, abs=1e-4)
    # Another basis of the same space, and one direction more that nothing uses.
    wide = np.hstack([head @ rng.normal(size=(40, 40)), np.zeros((300, 1))])
    assert residual(wide, logits) == pytest.approx(0.0, abs=1e-3)


def test_vectors_without_relation_leave_what_is_said() -> None:
    rng = np.random.default_rng(2)
    found = [residual(rng.normal(size=(400, 100)), rng.normal(size=(30, 400))) for _ in range(5)]
    assert np.mean([f for f in found if f is not None]) == pytest.approx(unrelated(400, 100), abs=0.01)
    assert unrelated(400, 100) == pytest.approx(np.sqrt(299 / 399))


def test_noise_is_measured() -> None:
    """Noise of a tenth of the vectors' own size leaves a tenth, but for what falls within the space."""
    rng = np.random.default_rng(3)
    head = rng.normal(size=(2000, 50))
    logits = rng.normal(size=(40, 50)) @ head.T
    noisy = logits + 0.1 * logits.std() * rng.normal(size=logits.shape)
    assert residual(head, noisy) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("head", "logits"),
    [
        (np.ones((50, 3)), np.ones((1, 50))),  # one vector
        (np.ones((50, 3)), np.tile(np.arange(50.0), (4, 1))),  # all alike
        (np.eye(5), np.random.default_rng(4).normal(size=(4, 5))),  # every vector lies in it
    ],
)
def test_no_meaning_no_figure(head: np.ndarray, logits: np.ndarray) -> None:
    assert residual(head, logits) is None


def test_huge_values_overflow_nothing() -> None:
    rng = np.random.default_rng(6)
    head, states = rng.normal(size=(90, 8)), rng.normal(size=(9, 8))
    assert residual(head * 1e300, states @ head.T * 1e250) == pytest.approx(0.0, abs=1e-4)


def test_a_layer_of_zeros_explains_nothing() -> None:
    vectors = np.random.default_rng(5).normal(size=(4, 50))
    assert residual(np.zeros((50, 3)), vectors) == 1.0


def test_what_is_looked_at_is_bounded() -> None:
    assert len(chosen_tokens(128_256, 4096)) == 8192
    assert chosen_tokens(512, 96).tolist() == list(range(512))
    assert len(chosen_vectors(10_000, 128_256)) == 256
    assert len(chosen_vectors(10_000, 1 << 21)) == 32
    assert chosen_vectors(3, 100).tolist() == [0, 1, 2]
