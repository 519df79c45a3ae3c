"""Weights and labels of trees."""

from __future__ import annotations

from apograph.align.code_background import MAGIC, UNKNOWN, CodeBook, code_book, leaf_key, write
from apograph.align.code_shape import text_key
from apograph.align.code_trees import own_attributes, trees
from apograph.release.code import module_of
from tests.align.code_samples import POOL, unit, units


def test_keys_are_the_same_on_every_machine() -> None:
    assert text_key("return") == 0xC5F093B93A485002


def test_names_do_not_change_a_hash() -> None:
    one = unit("def f(a):\n    return a + 41\n", "f")
    other = unit("def f(b):\n    return b + 41\n", "f")
    third = unit("def f(b):\n    return b + 42\n", "f")
    assert one.full == other.full
    assert one.full != third.full


def test_common_idioms_are_cheap_and_unusual_code_is_not() -> None:
    idiom = unit(
        "class A:\n    def __init__(self):\n        super().__init__()\n        self.x = None\n", "A.__init__"
    )
    unusual = unit("def f(a):\n    return a.frobnicate(417) @ zork(a)\n", "f")
    assert idiom.bits < 20 < 40 < unusual.bits


def test_weights_add_up_to_the_whole() -> None:
    for tree in units(POOL):
        assert sum(tree.weight) == tree.total == tree.bits * 16
        assert min(tree.weight) >= 0


def test_flow_follows_variables() -> None:
    tree = unit("def f(a):\n    b = a * 3\n    c = b - 1\n    return c\n", "f")
    ops = tree.shape.ops
    assert [ops[k] for k in tree.shape.flow[ops.index("return")]] == ["Sub"]
    assert [ops[k] for k in tree.shape.flow[ops.index("Sub")]] == ["Mult", "n:1"]


def test_own_attributes_of_several_sources() -> None:
    one = module_of(b"class A:\n    def go(self):\n        self.x = 1\n", "a.py")
    other = module_of(b"def f(t):\n    t.y = 2\n", "b.py")
    assert own_attributes((one, other)) == {"go", "x", "y"}
    assert [t.unit.name for t in trees(other)] == ["f"]


def test_a_written_code_book_reads_back() -> None:
    data = write({5: 17, 3: 70_000})
    assert data.startswith(MAGIC)
    assert len(data) == len(MAGIC) + 20
    book = CodeBook({5: 17})
    assert (book.leaf(5), book.leaf(6), book.subtree(6)) == (17, UNKNOWN, None)


def test_the_code_book_knows_the_language() -> None:
    book = code_book()
    label = text_key("return") * 31 + 1
    assert 0 < book.leaf(leaf_key(label)) < UNKNOWN / 2
