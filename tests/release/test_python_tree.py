"""Statement forms that say the same get one form."""

from __future__ import annotations

import pytest

from apograph.align.code_shape import Shaper
from apograph.release.code import module_of


def written(source: str, own: frozenset[str] = frozenset()) -> str:
    """The first function's tree in brackets, names as dots."""
    module = module_of(source.encode(), "m.py")
    unit = next(u for u in module.units if u.kind in ("function", "method"))
    bare = Shaper(module, own | frozenset(module.attributes)).shape(unit)
    texts: list[str] = []
    for op, kids in zip(bare.ops, bare.kids, strict=True):
        inner = " ".join(texts[k] if k >= 0 else "." for k in kids)
        texts.append(f"({op} {inner})" if inner else op)
    return texts[-1]


SAME = {
    "annotations": (
        "def f(a: int) -> int:\n    b: int = a\n    return b",
        "def f(x):\n    y = x\n    return y",
    ),
    "docstrings": ('def f(a):\n    """Text."""\n    return a', "def f(a):\n    return a"),
    "asserts": ("def f(a):\n    assert a > 1, 'no'\n    return a", "def f(a):\n    return a"),
    "decorators": ("@cache\ndef f(a):\n    return a", "def f(a):\n    return a"),
    "tuples": ("def f(a):\n    b, c = 1, 2\n    return b", "def f(a):\n    b = 1\n    c = 2\n    return b"),
    "items": ("def f(a):\n    b, c = a\n    return b", "def f(a):\n    b = a[0]\n    c = a[1]\n    return b"),
    "order": ("def f(a):\n    return a > g(3)", "def f(a):\n    return g(3) < a"),
    "numbers": ("def f(a):\n    return a * 1.0 + .5", "def f(a):\n    return a * 1 + 0.5"),
    "aliases": (
        "import numpy as np\ndef f(a):\n    return np.sin(a)",
        "from numpy import sin as s\ndef f(a):\n    return s(a)",
    ),
    "method or function": (
        "import torch\ndef f(a):\n    return torch.max(a)",
        "def f(a):\n    return a.max()",
    ),
    "method against function": (
        "class A:\n    def f(self, a):\n        return self.g(a) + 1\n    def g(self, a):\n        return a",
        "def f(a):\n    return g(a) + 1\ndef g(a):\n    return a",
    ),
    "keywords of own functions": (
        "def f(a):\n    return g(a, b=3)\ndef g(a, b):\n    return a",
        "def f(a):\n    return g(a, 3)\ndef g(a, b):\n    return a",
    ),
    "order of a library's keywords": (
        "import torch\ndef f(a):\n    return torch.sum(a, dim=1, keepdim=True)",
        "import torch\ndef f(a):\n    return torch.sum(a, keepdim=True, dim=1)",
    ),
    "chained conditions": (
        "def f(a):\n    if a:\n        return 1\n    elif a + 1:\n        return 2",
        "def f(b):\n    if b: return 1\n    elif b + 1: return 2",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_forms_that_say_the_same(name: str) -> None:
    one, other = SAME[name]
    assert written(one) == written(other)


def test_the_tree_by_hand() -> None:
    source = """
import torch
def f(a, n=2):
    b = torch.zeros(n, dtype=torch.float32)
    return b[:n] + a.size(0)
"""
    assert written(source) == (
        "(def (default n:2) (block (= (call:zeros . (kw:dtype x:float32)))"
        " (return (Add (item . (slice010 .)) (call:size . n:0)))) . .)"
    )


def test_an_attribute_is_the_authors_own_where_it_is_stored() -> None:
    source = "def f(t):\n    return t.start + t.shape"
    assert written(source) == "(def (block (return (Add (.start .) (.shape .)))) .)"
    assert written(source, frozenset({"start"})) == "(def (block (return (Add (. . .) (.shape .)))) .)"


def test_different_constants_differ() -> None:
    assert written("def f(a):\n    return a + 447") != written("def f(a):\n    return a + 448")
