"""The static reading against PyTorch itself, where it is installed."""

import importlib.util
from typing import Any

import pytest

from apograph.release.static_model import read_model

BODY = """
import torch
from torch import nn

class Half(nn.Module):
    def __init__(self, n, bias=True):
        super().__init__()
        self.a = nn.Linear(n, n // 2, bias=bias)
        self.b = nn.LayerNorm((n, 2), bias=bias)
        self.c = nn.GroupNorm(2, n)

class Own(nn.Module):
    def __init__(self, config):
        super().__init__()
        n = config.width
        self.parts = nn.ModuleDict({"x": Half(n), "y": Half(2 * n, bias=False)})
        self.list = nn.ModuleList()
        for i in range(3):
            self.list.append(nn.Conv1d(n, 2 * n, 3, groups=2))
        self.down = nn.ConvTranspose2d(n, 6, (2, 3), groups=2, bias=False)
        self.norm = nn.BatchNorm2d(n)
        self.plain = nn.InstanceNorm1d(n)
        self.attn = nn.MultiheadAttention(n, 2, kdim=5, vdim=7, add_bias_kv=True)
        self.own = nn.MultiheadAttention(n, 2, bias=False)
        self.rms = nn.RMSNorm(n)
        self.slope = nn.PReLU(n)
        self.net = nn.Sequential(*[nn.Linear(i, i + 1) for i in (2, 3)], nn.GELU())
        self.embed = nn.Embedding(9, n)
        self.scale = nn.Parameter(torch.ones((n, 2)) * 0.5)
        self.register_parameter("shift", nn.Parameter(torch.empty(n)))
        self.register_buffer("mask", torch.zeros(3), persistent=False)
        self.none = None
        self.free = torch.zeros(4)
        self.tied = self.embed
        del self.list[-1]
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_names_and_shapes_equal_those_of_the_real_module() -> None:
    space: dict[str, Any] = {}
    exec(BODY, space)  # our own text above, not a release's
    real = space["Own"](type("Config", (), {"width": 8})())
    config = {"config.json": {"auto_map": {"AutoModel": "m.Own"}, "width": 8}}
    model = read_model({"m.py": BODY}, ["m.py"], config)["model"]
    assert model is not None
    read = {name: None if shape is None else tuple(shape) for name, shape, _ in model["tensors"]}
    assert read == {name: tuple(value.shape) for name, value in real.state_dict().items()}
    assert model["opens"] == []
