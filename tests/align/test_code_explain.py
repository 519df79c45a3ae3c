"""What another source explains of a unit."""

from __future__ import annotations

from apograph.align.code import Index
from apograph.align.code_explain import bits, explained_by, explained_lines, most
from tests.align.code_samples import OTHER, POOL, unit, units

NEW = POOL.replace(
    "        return torch.stack(kept)\n",
    "        scores = torch.stack(kept).float().cumsum(dim=-2).div(9.75)\n"
    "        return torch.where(scores > 0.125, scores.rsqrt(), -scores)\n",
)


def test_a_source_explains_itself_completely() -> None:
    found = explained_by(Index(units(POOL)), units(POOL))
    for tree, credits in found.items():
        assert bits(tree, credits) == tree.bits


def test_an_unrelated_source_explains_next_to_nothing() -> None:
    for tree, credits in explained_by(Index(units(OTHER)), units(POOL)).items():
        assert bits(tree, credits) < 0.2 * tree.bits


def test_what_was_added_is_left_over() -> None:
    tree = unit(NEW, "RingPool.trim", (POOL,))
    credits = explained_by(Index(units(POOL, others=(NEW,))), [tree])[tree]
    start = tree.unit.start
    assert explained_lines(tree, credits) == [start + 2, start + 3, start + 4]
    full = [1.0] * len(credits)
    assert 60 < bits(tree, full, credits) < tree.bits


def test_the_best_of_several_sources_counts() -> None:
    tree = unit(POOL, "ring_positions")
    none, whole = [0.0] * len(tree.full), [1.0] * len(tree.full)
    assert most([{tree: none}, {tree: whole}]) == {tree: whole}
    assert most([]) == {}
    assert bits(tree, None) == 0.0
