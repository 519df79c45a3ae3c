"""The published fingerprints: 1 for a model and itself, and what each of them survives and does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apograph.lab import baselines
from apograph.lab.layout import tower_of
from apograph.lab.model import Model

CONFIG = {
    "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48,
}  # fmt: skip


def random_model(seed: int) -> Model:
    """Weights of any size that grow from layer to layer, so that spreads differ."""
    random = np.random.default_rng(seed)
    shapes = {"model.embed_tokens.weight": (300, 32), "lm_head.weight": (300, 32), "model.norm.weight": (32,)}
    for n in range(4):
        at = f"model.layers.{n}."
        rows = {"self_attn.q": (32, 32), "self_attn.k": (16, 32), "self_attn.v": (16, 32)}
        rows |= {"self_attn.o": (32, 32), "mlp.gate": (48, 32), "mlp.up": (48, 32), "mlp.down": (32, 48)}
        shapes |= {f"{at}{part}_proj.weight": shape for part, shape in rows.items()}
        shapes |= {f"{at}{part}_layernorm.weight": (32,) for part in ("input", "post_attention")}
    weights = {
        name: (random.standard_normal(shape) * random.uniform(0.5, 2)).astype(np.float32)
        for name, shape in shapes.items()
    }
    return Model(CONFIG, weights)


def channels_permuted(model: Model) -> Model:
    """The residual channels in another order: the model computes what it computed."""
    order = np.random.default_rng(9).permutation(32)
    writers = ("o_proj", "down_proj")
    weights = {
        name: w[order] if w.ndim == 1 or any(part in name for part in writers) else w[:, order]
        for name, w in model.weights.items()
    }
    return replace(model, weights=weights)


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_a_model_is_like_itself_and_its_disguise_and_unlike_another(name: str) -> None:
    score, model = baselines.BASELINES[name], random_model(0)
    assert score(model, model) == pytest.approx(1, abs=1e-6)
    assert score(model, channels_permuted(model)) == pytest.approx(1, abs=1e-4)
    other = score(model, random_model(1))
    assert other is not None
    assert other < 0.8


def test_a_rotation_is_survived_by_huref_alone() -> None:
    model = random_model(0)
    q, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((32, 32)))
    weights = {
        name: (w if w.ndim == 1 else q.T @ w if "o_proj" in name or "down_proj" in name else w @ q).astype(
            np.float32
        )
        for name, w in model.weights.items()
    }
    turned = replace(model, weights=weights)
    assert baselines.huref(model, turned) == pytest.approx(1, abs=1e-3)
    found = baselines.awm(model, turned)
    assert found is not None
    assert found < 0.5


def test_unbiased_cka_by_hand_and_its_mean_over_independents() -> None:
    """For n = 4 rows of one column, HSIC written out as the sum over all ordered quadruples."""
    x, y = np.array([[1.0], [2.0], [4.0], [8.0]]), np.array([[1.0], [-1.0], [3.0], [2.0]])

    def hsic(u: np.ndarray, v: np.ndarray) -> float:
        k, m = np.outer(u, u), np.outer(v, v)
        total = 0.0
        for i in range(4):
            for j in range(4):
                for p in range(4):
                    for r in range(4):
                        if len({i, j, p, r}) == 4:
                            total += k[i, j] * (m[i, j] + m[p, r] - 2 * m[i, p])
        return total / 24

    expected = hsic(x[:, 0], y[:, 0]) / np.sqrt(abs(hsic(x[:, 0], x[:, 0]) * hsic(y[:, 0], y[:, 0])))
    assert baselines.unbiased_cka(x, y) == pytest.approx(expected)
    random = np.random.default_rng(0)
    draws = [baselines.unbiased_cka(*random.standard_normal((2, 20, 10))) for _ in range(300)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(300)


def test_other_widths_are_not_compared() -> None:
    small, model = random_model(0), random_model(1)
    cut = {n: w[..., :16] if w.ndim == 2 else w[:16] for n, w in model.weights.items()}
    narrow = replace(model, weights=cut, config={**CONFIG, "hidden_size": 16})
    assert baselines.awm(small, narrow) is None
    assert tower_of(narrow).width == 16
