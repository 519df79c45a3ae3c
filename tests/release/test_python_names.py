"""Which names are the author's own."""

from __future__ import annotations

import ast

from apograph.release.python_names import names_of

SOURCE = """
import numpy as np
from torch.nn import Linear as L
from .sibling import helper

SIZE = 3

class Box:
    width: int = 2
    def __init__(self, size):
        self.size = size
        self.register_buffer("table", np.zeros(3))
    def area(self):
        return [k for k in range(self.size)]

def f(a, *rest, key=None, **more):
    try:
        b = len(a)
    except ValueError as problem:
        raise
    return b + unknown
"""


def test_own_names_are_those_that_the_source_binds() -> None:
    names = names_of(ast.parse(SOURCE))
    assert {
        "helper",
        "SIZE",
        "Box",
        "f",
        "a",
        "rest",
        "key",
        "more",
        "b",
        "problem",
        "k",
        "size",
    } <= names.own
    assert names.attributes == {"width", "size", "table", "area"}
    assert names.imported == {"np": "numpy", "L": "Linear"}


def test_a_librarys_name_is_what_was_imported_a_builtin_or_unbound() -> None:
    names = names_of(ast.parse(SOURCE))
    assert names.library("L", set()) == "Linear"
    assert names.library("len", set()) == "len"
    assert names.library("unknown", set()) == "unknown"
    assert names.library("helper", set()) is None
    assert names.library("L", {"L"}) is None


def test_each_function_has_its_own_local_names() -> None:
    tree = ast.parse(
        "def f(a):\n    b = [c for c in a]\n    def g(d):\n        e = 1\n    return lambda h: h\n"
    )
    names = names_of(tree)
    function = tree.body[0]
    assert names.local[function] == {"a", "b", "c", "g", "h"}
