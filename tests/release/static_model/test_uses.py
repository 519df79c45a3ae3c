"""Attention, shortened towers, fixed query counts, tokens, activations: read from small classes."""

from typing import Any

import pytest

from apograph.release.static_model import read_model


def read(text: str, **more: str) -> dict[str, Any]:
    sources = {"m.py": "import torch\nfrom torch import nn\n" + text, **more}
    return read_model(sources, list(sources), {})


ATTENTION = """
class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(4, n))
        self.position = nn.Parameter(torch.zeros(4, n))
        self.norm = nn.LayerNorm(n)
        self.attn = nn.MultiheadAttention(n, 2)

    def forward(self, x, context=None, mask=None):
        size, device = x.shape[0], x.device
        states = []
        for i in range(size):
            states.append(x[i])
        q = self.norm(self.query)
        {body}
        x = out[0]
        return x

    def repeat(self, query, n):
        return query.unsqueeze(1).repeat(1, n, 1)
"""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("out = self.attn(self.repeat(q, size), x, x, key_padding_mask=mask)", "cross"),
        ("x = self.norm(x)\n        out = self.attn(x, x, x)", "self"),
        ("out = self.attn(x, key=context, value=context)", "cross"),
        ("x = x + 1\n        out = self.attn(self.norm(x), states, x)", "self"),
        ("out = self.attn(x + self.position, x, x)", None),
    ],
)
def test_attention_is_told_by_where_queries_and_keys_come_from(body: str, kind: str | None) -> None:
    rows = read(ATTENTION.replace("{body}", body))["attention"]
    assert [r["type"] for r in rows] == ([] if kind is None else [kind])


def test_attention_by_projections() -> None:
    text = """
class Own(nn.Module):
    def forward(self, hidden, encoder=None):
        q = self.q_proj(hidden)
        k = self.k_proj(KEY)
        return q @ k
"""
    assert read(text.replace("KEY", "hidden"))["attention"][0]["type"] == "self"
    assert read(text.replace("KEY", "encoder"))["attention"][0]["type"] == "cross"


def test_statements_that_shorten_a_tower() -> None:
    rows = read("""
def tower(config, model):
    model.encoder.layers = model.encoder.layers[:-1]
    model.encoder.layers = nn.ModuleList(model.encoder.layers[:-2])
    model.encoder.layers = other.layers[:-1]
    model.names = model.names[:-1]
    if config.drop:
        del model.blocks[-1]
    else:
        model.blocks = model.blocks[1:]
""")["cuts"]
    assert [(r["line"], r["layers"], r["slice"], r["switch"]) for r in rows] == [
        (5, "encoder.layers", ":-1", ""),
        (6, "encoder.layers", ":-2", ""),
        (10, "blocks", "del [-1]", "config.drop"),
        (12, "blocks", "1:", "not (config.drop)"),
    ]


def test_query_counts_in_calls_and_defaults() -> None:
    found = read("""
class OwnConfig:
    def __init__(self, query_num=64, width=3):
        self.num_queries = 32
def place(image, query_num, size=2):
    return image
place(1, 16, 5)
place(1, query_num=17)
place(1, config.query_num)
""")
    assert [(r["value"], r["line"]) for r in found["queries"]] == [(16, 9), (17, 10)]
    assert [(r["name"], r["value"]) for r in found["query_defaults"]] == [
        ("query_num", 64),
        ("num_queries", 32),
    ]


def test_special_tokens_are_whole_texts_outside_documentation() -> None:
    found = read('''
def f(a="<image>"):
    """<notatoken>"""
    b = "<|eot_id|>"
    c = "<b>", "x <slice> y", "</image>\\n", "<a b>", "a < b > c"
''')["tokens"]
    assert [r["token"] for r in found] == ["</image>", "<image>", "<|eot_id|>"]


def test_a_module_imported_and_never_used() -> None:
    part = "from torch import nn\nclass Part(nn.Module):\n    pass\nclass Helper:\n    pass\n"
    assert [r["name"] for r in read("from part import Part, Helper\n", **{"part.py": part})["unbuilt"]] == [
        "Part"
    ]
    assert read("from part import Part\nx = Part()\n", **{"part.py": part})["unbuilt"] == []


def test_activations_by_class() -> None:
    text = """
class A(nn.Module):
    def __init__(self):
        self.a = nn.GELU()
        self.b = nn.functional.silu(1)
"""
    rows = read(text)["activations"]
    assert [(r["cls"], r["name"]) for r in rows] == [("A", "gelu"), ("A", "silu")]
