import json
from pathlib import Path

import numpy as np
import pytest

from apograph.release.tensor_store import open_store
from tests.release.checkpoints import write_safetensors
from tests.release.refusals import refused

PREFIX = "base_model.model."
A = np.array([[1, 2, 3]], np.float32)
B = np.array([[1], [10]], np.float32)


def adapted(folder: Path, config: dict, tensors: dict[str, np.ndarray]):
    base = write_safetensors(
        folder / "base.safetensors",
        {
            "m.q.weight": ("F32", np.zeros((2, 3), np.float32)),
            "m.emb.weight": ("BF16", np.zeros((3, 2), np.uint16)),
            "head.weight": ("F32", np.zeros((2, 2), np.float32)),
        },
    )
    inner = folder / "adapter"
    inner.mkdir()
    named = {PREFIX + name: ("F32", value) for name, value in tensors.items()}
    write_safetensors(inner / "adapter_model.safetensors", named)
    (inner / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    return open_store(inner, open_store(base))


FACTORS = {"m.q.lora_A.weight": A, "m.q.lora_B.weight": B}


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"r": 1, "lora_alpha": 2}, 2.0),
        ({"r": 4, "lora_alpha": 2}, 0.5),
        ({"r": 4, "lora_alpha": 2, "use_rslora": True}, 1.0),
        ({"r": 4, "lora_alpha": 2, "alpha_pattern": {"q": 8}}, 2.0),
        ({"r": 4, "lora_alpha": 2, "rank_pattern": {"m.q": 1}}, 2.0),
        ({"r": 4, "lora_alpha": 2, "rank_pattern": {"other": 1}}, 0.5),
    ],
)
def test_effective_weight(tmp_path, config, scale):
    store = adapted(tmp_path, config, FACTORS)
    assert store.block("m.q.weight", 0, 6).tolist() == (scale * np.array([1, 2, 3, 10, 20, 30])).tolist()
    assert store.block("m.q.weight", 2, 4).tolist() == [scale * 3, scale * 10]
    assert store.raw("m.q.weight", 0, 6) is None
    assert store.raw("head.weight", 0, 4).tolist() == [0, 0, 0, 0]
    assert store.unexamined == ()


def test_embedding_and_replaced_tensors(tmp_path):
    head = np.ones((2, 2), np.float32)
    tensors = {"m.emb.lora_embedding_A": A, "m.emb.lora_embedding_B": B, "head.weight": head}
    store = adapted(tmp_path, {"r": 1, "lora_alpha": 1}, tensors)
    assert store.block("m.emb.weight", 0, 6).tolist() == [1, 10, 2, 20, 3, 30]
    assert store.block("head.weight", 0, 4).tolist() == [1, 1, 1, 1]
    assert list(store.infos) == ["m.q.weight", "m.emb.weight", "head.weight"]


def test_the_factors_are_added_to_a_base_layer_that_the_adapter_brings(tmp_path):
    own = np.full((2, 3), 100, np.float32)
    store = adapted(tmp_path, {"r": 1, "lora_alpha": 1}, FACTORS | {"m.q.base_layer.weight": own})
    assert store.block("m.q.weight", 0, 6).tolist() == [101, 102, 103, 110, 120, 130]
    assert store.raw("m.q.weight", 0, 6) is None
    assert store.unexamined == ()


@pytest.mark.parametrize(
    ("config", "tensors"),
    [
        ({"use_dora": True}, FACTORS),
        ({"fan_in_fan_out": True}, FACTORS),
        ({"alpha_pattern": {"^q$": 8}}, FACTORS),
        ({"r": 0}, FACTORS),
        ({"r": "8"}, FACTORS),
        ({}, FACTORS | {"m.q.lora_magnitude_vector": np.ones(2, np.float32)}),
        ({}, {"m.q.lora_A.weight": A}),
        ({}, {"m.q.lora_A.weight": A, "m.q.lora_B.weight": B.T}),
    ],
)
def test_what_is_not_understood_leaves_the_weight_out(tmp_path, config, tensors):
    store = adapted(tmp_path, config, tensors)
    assert "m.q.weight" not in store.infos
    assert [u.reason.key for u in store.unexamined] == ["readers.store.adapter-part"]


def test_another_kind_of_adapter(tmp_path):
    assert refused(lambda: adapted(tmp_path, {"peft_type": "IA3"}, FACTORS)).code == 3
