"""Two functions matched: what may differ between a function and its copy."""

from __future__ import annotations

from string import ascii_letters, digits

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.align.code_pair import align, name_map
from tests.align.code_samples import OTHER, POOL, pair, unit, units

ORIGINAL = """
import torch

def f(image, grid, limit=448):
    width, height = image.size
    cell_w = int(width / grid[0])
    cell_h = int(height / grid[1])
    rows = []
    for top in range(0, height, cell_h):
        row = []
        for left in range(0, width, cell_w):
            box = (left, top, left + cell_w, top + cell_h)
            piece = image.crop(box)
            row.append(piece)
        rows.append(row)
    scale = limit / max(width, height)
    mean = torch.stack([p.mean() for r in rows for p in r]).mean()
    return rows, scale * mean
"""

RENAMED = """
import torch as t

def f(pic, g, top_size=448):
    w, h = pic.size
    a = int(w / g[0])
    b = int(h / g[1])
    out = []
    for i in range(0, h, b):
        line = []
        for j in range(0, w, a):
            rect = (j, i, j + a, i + b)
            part = pic.crop(rect)
            line.append(part)
        out.append(line)
    s = top_size / max(w, h)
    m = t.stack([p.mean() for q in out for p in q]).mean()
    return out, s * m
"""

MAP = {
    "image": "pic", "grid": "g", "limit": "top_size", "width": "w", "height": "h", "cell_w": "a",
    "cell_h": "b",
    "rows": "out", "top": "i", "row": "line", "left": "j", "box": "rect", "piece": "part", "scale": "s",
    "mean": "m", "p": "p", "r": "q", "f": "f",
}  # fmt: skip


def test_a_renamed_function_is_equal_and_shows_its_map() -> None:
    found = align(*pair(ORIGINAL, RENAMED))
    assert found.similarity == 1.0
    assert found.coverage == (1.0, 1.0)
    names = name_map([found])
    assert {a: b for a, b, _ in names.renamed} == MAP
    assert names.consistency == 1.0


def changed(old: str, new: str) -> str:
    assert old in ORIGINAL
    return ORIGINAL.replace(old, new)


CHANGES = {
    "reordered": (
        changed("    cell_w = int(width / grid[0])\n    cell_h = int(height / grid[1])\n",
                "    cell_h = int(height / grid[1])\n    cell_w = int(width / grid[0])\n"),
        0.97,
    ),
    "condensed": (
        changed("            box = (left, top, left + cell_w, top + cell_h)\n"
                "            piece = image.crop(box)\n            row.append(piece)\n",
                "            row.append(image.crop((left, top, left + cell_w, top + cell_h)))\n"),
        0.97,
    ),
    "split": (
        changed("    mean = torch.stack([p.mean() for r in rows for p in r]).mean()\n",
                "    means = [p.mean() for r in rows for p in r]\n    stacked = torch.stack(means)\n"
                "    mean = stacked.mean()\n"),
        0.94,
    ),
    "joined assignments": (
        changed("    cell_w = int(width / grid[0])\n    cell_h = int(height / grid[1])\n",
                "    cell_w, cell_h = int(width / grid[0]), int(height / grid[1])\n"),
        0.97,
    ),
    "loop as comprehension": (
        changed("        row = []\n        for left in range(0, width, cell_w):\n"
                "            box = (left, top, left + cell_w, top + cell_h)\n"
                "            piece = image.crop(box)\n            row.append(piece)\n",
                "        row = [image.crop((left, top, left + cell_w, top + cell_h))"
                " for left in range(0, width, cell_w)]\n"),
        0.9,
    ),
    "another constant": (changed("limit=448", "limit=512"), 0.9),
    "no default": (changed("limit=448", "limit"), 0.9),
    "annotated": (
        changed("def f(image, grid, limit=448):",
                'def f(image: "Image", grid: tuple[int, int], limit: int = 448) -> tuple:\n    """Cut."""\n'
                "    assert limit > 0"),
        1.0,
    ),
    "integer division": (changed("int(width / grid[0])", "width // grid[0]"), 0.8),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_may_differ(name: str) -> None:
    source, least = CHANGES[name]
    found = align(*pair(ORIGINAL, source))
    assert found.similarity >= least
    names = name_map([found])
    assert all(a == b for a, b, _ in names.renamed)
    assert names.consistency == 1.0
    if least < 1 and "constant" in name:
        assert found.similarity < 1


def test_a_changed_place_is_paired_without_credit() -> None:
    left, right = pair(ORIGINAL, CHANGES["another constant"][0])
    found = align(left, right)
    assert [(left.shape.ops[i], right.shape.ops[j]) for i, j, c in found.pairs if c == 0] == [
        ("n:448", "n:512")
    ]


def test_a_changed_operator_is_paired_without_credit() -> None:
    left, right = pair(ORIGINAL, ORIGINAL.replace("scale * mean", "scale + mean"))
    found = align(left, right)
    assert [(left.shape.ops[i], right.shape.ops[j]) for i, j, c in found.pairs if c == 0] == [("Mult", "Add")]


SWAPPED = """
def f(first, second):
    both = first.cumsum(0) @ second.softmax(1) + 9
    {}
    {}
    return low, high - both.{}(low)
"""


def test_names_decide_between_equal_places() -> None:
    lines = ["low = fit(first).clamp(0, 3)", "high = fit(second).clamp(0, 3)"]
    one, other = SWAPPED.format(*lines, "roll"), SWAPPED.format(*lines[::-1], "flip")
    for old, new in (("first", "a"), ("second", "b"), ("low", "c"), ("high", "d"), ("both", "e")):
        other = other.replace(old, new)
    names = name_map([align(*pair(one, other))])
    assert names.consistency == 1.0
    expected = {"first": "a", "second": "b", "low": "c", "high": "d", "both": "e", "f": "f"}
    assert {a: b for a, b, _ in names.renamed} == expected


def test_a_method_answers_a_function() -> None:
    method = """
class A:
    def f(self, x, y):
        return self.g(x * 3 - y).clamp(0, 77)

    def g(self, x):
        return x
"""
    function = "def f(a, b):\n    return g(a * 3 - b).clamp(0, 77)\n\n\ndef g(a):\n    return a\n"
    found = align(unit(method, "A.f", (function,)), unit(function, "f", (method,)))
    assert found.similarity == 1.0


def test_unrelated_functions_share_little() -> None:
    for left in units(POOL, others=(OTHER,)):
        for right in units(OTHER, others=(POOL,)):
            found = align(left, right)
            assert found.similarity < 0.3
            assert found.shared < 24


def test_a_function_is_equal_to_itself_and_sides_swap() -> None:
    for tree in units(POOL):
        found = align(tree, tree)
        assert found.similarity == 1.0
        assert len(found.pairs) == sum(1 for op in tree.shape.ops if op != "kw")
    one, other = pair(ORIGINAL, CHANGES["loop as comprehension"][0])
    there, back = align(one, other), align(other, one)
    assert there.coverage == back.coverage[::-1]
    assert there.similarity == pytest.approx(back.similarity)


TEMPLATE = """
import numpy as np
from torch import nn

class {cls}(nn.Module):
    def __init__(self, {p1}, {p2}=7):
        super().__init__()
        self.{attr1} = nn.Linear({p1}, {p2} * 3, bias=False)
        self.{attr2} = np.zeros(({p2}, 5))

    def {method}(self, {p3}, {p4}):
        {v1} = self.{attr1}({p3}) + 0.25
        {v2} = {v1}.softmax(dim=-1)
        {v3} = {v1}.softmax(dim=-2)
        for {v4} in range(len({p4})):
            {v2} = {v2} * {p4}[{v4}] - {fun}({v3}, {v4})
        return {v2}, self.{attr2} @ {v3}

def {fun}({p5}, {p6}):
    return [{v5} ** 2 / {p6} for {v5} in {p5} if {v5} > {p6}]
"""
SLOTS = sorted({part.split("}")[0] for part in TEMPLATE.split("{")[1:]})
NAMES = st.lists(
    st.text(ascii_letters + digits, max_size=6), min_size=len(SLOTS), max_size=len(SLOTS), unique=True
)


@settings(max_examples=60, deadline=None)
@given(NAMES)
def test_any_renaming_is_seen_through(drawn: list[str]) -> None:
    chosen = {slot: f"z{name}" for slot, name in zip(SLOTS, drawn, strict=True)}
    plain = {slot: f"own_{slot}" for slot in SLOTS}
    one, other = TEMPLATE.format(**plain), TEMPLATE.format(**chosen)
    alignments = [
        align(a, b) for a, b in zip(units(one, others=(other,)), units(other, others=(one,)), strict=True)
    ]
    assert [a.similarity for a in alignments] == [1.0] * len(alignments)
    names = name_map(alignments)
    assert names.consistency == 1.0
    assert {a: b for a, b, _ in names.renamed} == {plain[slot]: chosen[slot] for slot in SLOTS}
