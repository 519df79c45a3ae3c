"""What constructors build: hand-computed names and shapes."""

from typing import Any

import pytest

from apograph.release.static_model import read_model

CONFIG = {"auto_map": {"AutoConfig": "configuration.OwnConfig", "AutoModel": "modeling.Own"}}
CONFIGURATION = """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    def __init__(self, hidden_size=8, num_hidden_layers=2, query_num=4, drop_last=True, **kwargs):
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.query_num = query_num
        self.drop_last = drop_last
        super().__init__(**kwargs)
"""
HEAD = """
import torch
import math
from functools import partial
from torch import nn
from transformers import PreTrainedModel
from .configuration import OwnConfig
"""


def read(body: str, **config: Any) -> dict[str, Any]:
    sources = {"modeling.py": HEAD + body, "configuration.py": CONFIGURATION}
    found = read_model(sources, list(sources), {"config.json": {**CONFIG, **config}})
    assert found["model"] is not None
    return found["model"]


def shapes(model: dict[str, Any]) -> dict[str, tuple[int, ...] | None]:
    return {name: None if shape is None else tuple(shape) for name, shape, _ in model["tensors"]}


BODY = """
class Block(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.fc1 = nn.Linear(config.hidden_size, 4 * config.hidden_size, bias=False)
        self.index = index

class Own(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        width = config.hidden_size
        self.embed = nn.Embedding(10, width)
        self.layers = nn.ModuleList([Block(config, i) for i in range(config.num_hidden_layers)])
        self.query = nn.Parameter(torch.zeros(config.query_num, width))
        self.mixed, self.ln = nn.MultiheadAttention(width, 2), partial(nn.LayerNorm, eps=1e-6)(width)
        self.head = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, 3))
        self.proj = nn.Parameter((width ** -0.5) * torch.randn(width, width))
        self.patch = nn.Conv2d(3, width, kernel_size=(2, 4))
        self.register_buffer("table", torch.zeros(5), persistent=False)
        if config.drop_last:
            self.layers = self.layers[:-1]
"""


def test_names_and_shapes_follow_from_code_and_configuration() -> None:
    model = read(BODY, hidden_size=6, drop_last=False)
    assert shapes(model) == {
        "embed.weight": (10, 6),
        "layers.0.norm.weight": (6,),
        "layers.0.norm.bias": (6,),
        "layers.0.fc1.weight": (24, 6),
        "layers.1.norm.weight": (6,),
        "layers.1.norm.bias": (6,),
        "layers.1.fc1.weight": (24, 6),
        "query": (4, 6),
        "mixed.in_proj_weight": (18, 6),
        "mixed.in_proj_bias": (18,),
        "mixed.out_proj.weight": (6, 6),
        "mixed.out_proj.bias": (6,),
        "ln.weight": (6,),
        "ln.bias": (6,),
        "head.0.weight": (3, 6),
        "head.0.bias": (3,),
        "head.2.weight": (3, 3),
        "head.2.bias": (3,),
        "proj": (6, 6),
        "patch.weight": (6, 3, 2, 4),
        "patch.bias": (6,),
    }
    assert model["opens"] == []
    assert model["lists"] == {"layers.": 2, "head.": 3}


def test_a_switch_of_the_configuration_drops_a_layer() -> None:
    model = read(BODY)
    assert model["lists"]["layers."] == 1
    assert [(c[0], c[1]) for c in model["cuts"]] == [("layers.", ":-1")]
    assert "layers.1.norm.weight" not in shapes(model)


def test_what_depends_on_something_unknown_is_optional_or_open_never_required() -> None:
    model = read("""
import somewhere
class Own(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.tower = somewhere.build(config)
        self.made = SomeUnknownThing
        if somewhere.flag():
            self.extra = nn.Linear(2, 3)
        for name in somewhere.names():
            self.more = nn.Linear(2, 2)
        self.mean = somewhere.number() + 1
        self.sized = nn.Linear(somewhere.number(), 3)
""")
    assert {n: o for n, _, o in model["tensors"]} == {
        "extra.weight": True, "extra.bias": True, "more.weight": True, "more.bias": True,
        "sized.weight": False, "sized.bias": False,
    }  # fmt: skip
    assert shapes(model)["sized.weight"] is None
    assert {prefix for prefix, _ in model["opens"]} == {"tower.", "mean."}


def test_a_class_that_extends_a_layer_has_its_parameters_and_its_own() -> None:
    model = read("""
class Attention(nn.MultiheadAttention):
    def __init__(self, embed_dim, num_heads, bias=True):
        super().__init__(embed_dim, num_heads, bias=bias)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=False)
class Own(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.attn = Attention(4, 2)
""")
    assert shapes(model) == {
        "attn.in_proj_weight": (12, 4), "attn.in_proj_bias": (12,), "attn.out_proj.weight": (4, 4),
    }  # fmt: skip


def test_methods_properties_inheritance_and_super() -> None:
    model = read("""
class Base(PreTrainedModel):
    width = 3
    def __init__(self, config):
        super().__init__(config)
        self.first = self.make(self.double)
    @property
    def double(self):
        return 2 * self.width
    def make(self, n):
        return nn.Linear(n, 1, bias=False)
class Own(Base):
    width = 5
    def make(self, n):
        made = super().make(n + 1)
        return nn.Sequential(made)
""")
    assert shapes(model) == {"first.0.weight": (1, 11)}


def test_a_published_class_brings_its_public_layout() -> None:
    body = """
from transformers import LlamaForCausalLM
class Own(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.llm = LlamaForCausalLM(config)
"""
    model = read(body, hidden_size=8, num_attention_heads=4, num_key_value_heads=2, intermediate_size=20,
                 vocab_size=11, num_hidden_layers=3)  # fmt: skip
    found = shapes(model)
    assert len(found) == 3 + 9 * 3
    assert found["llm.model.layers.2.self_attn.k_proj.weight"] == (4, 8)
    assert found["llm.lm_head.weight"] == (11, 8)


def test_values_set_after_the_configuration_was_read_replace_it() -> None:
    sources = {
        "modeling.py": HEAD + "class Own(PreTrainedModel):\n    pass\n",
        "configuration.py": CONFIGURATION + "        self.query_num = 64\n",
    }
    found = read_model(sources, list(sources), {"config.json": {**CONFIG, "query_num": 96}})
    assert found["model"]["settings"]["query_num"] == 64
    sources["configuration.py"] = CONFIGURATION
    found = read_model(sources, list(sources), {"config.json": {**CONFIG, "query_num": 96}})
    assert found["model"]["settings"]["query_num"] == 96


@pytest.mark.parametrize(
    "constructor",
    [
        "while True:\n            self.x = self.__init__(config)",
        "self.__init__(config)",
        "self.x = [0] * 10 ** 12",
        "self.x = 10 ** 10 ** 10 ** 10",
        "self.x = nn.ModuleList([nn.Linear(1, 1) for i in range(10 ** 9)])",
        "self.x = 'a' * (1 << 62)",
        "for i in range(2000):\n            for j in range(2000):\n                for k in range(2000):\n"
        "                    self.y = i",
    ],
)
def test_hostile_constructors_end_soon(constructor: str) -> None:
    sources = {
        "modeling.py": HEAD
        + f"class Own(PreTrainedModel):\n    def __init__(self, config):\n        {constructor}\n",
        "configuration.py": CONFIGURATION,
    }
    read_model(sources, list(sources), {"config.json": CONFIG})


def test_nothing_is_executed(tmp_path: Any) -> None:
    canary = tmp_path / "canary"
    code = f"import os\nopen({str(canary)!r}, 'w').write('x')\nos.mkdir({str(canary)!r} + 'd')\n"
    inside = code.splitlines()[1]
    sources = {
        "modeling.py": f"{code}{HEAD}class Own(PreTrainedModel):\n  def __init__(self, c):\n    {inside}",
        "configuration.py": code + CONFIGURATION,
        "__init__.py": code,
    }  # fmt: skip
    read_model(sources, list(sources), {"config.json": CONFIG})
    assert list(tmp_path.iterdir()) == []
