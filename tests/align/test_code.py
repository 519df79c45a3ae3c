"""Two sets of functions matched, and what the result says of each side."""

from __future__ import annotations

import pytest

from apograph.align.code import MIN_BITS, Index, compare_units, line_pairs, match
from apograph.align.code_trees import CodeTree
from tests.align.code_samples import OTHER, POOL, units

CONDENSED = """
import numpy
import torch
from torch import nn


def angles_of(n, dim, root=730.0):
    speed = 1.0 / root ** (numpy.arange(dim // 2, dtype=numpy.float32) / dim * 2)
    phase = numpy.einsum("t,c->tc", numpy.arange(n), speed)
    return numpy.concatenate([numpy.cos(phase), numpy.sin(phase)], axis=-1)


class Condenser(nn.Module):
    def __init__(self, dim, k=12, parts=3):
        super().__init__()
        self.k, self.start = k, nn.Parameter(torch.randn(k, dim) * dim**-0.5)
        self.attention = nn.MultiheadAttention(dim, parts, batch_first=True)
        self.score = nn.Linear(dim, 1, bias=False)
        self.out = nn.Sequential(nn.LayerNorm(dim, eps=3e-6), nn.Linear(dim, dim * 2))

    def forward(self, x, sizes):
        b, n, dim = x.shape
        pos = torch.from_numpy(angles_of(n, dim)).to(x)
        pad = torch.arange(n, device=x.device)[None] >= sizes[:, None]
        w = torch.sigmoid(self.score(x + pos)).masked_fill(pad[..., None], 0.0)
        y = self.attention(self.start[None].expand(b, -1, -1), x + pos, x * w, key_padding_mask=pad)[0]
        return self.out(y[:, : self.k // 2])
"""


def pairs(left: list[CodeTree], right: list[CodeTree]) -> list[tuple[str, str]]:
    found = match(left, right).matches
    return sorted((m.left.unit.name, m.right.unit.name) for m in found if not m.part)


def test_a_condensed_and_renamed_copy_is_matched_function_by_function() -> None:
    left, right = units(POOL, "a.py", (CONDENSED,)), units(CONDENSED, "b.py", (POOL,))
    assert pairs(left, right) == [
        ("RingPool.__init__", "Condenser.__init__"),
        ("RingPool.forward", "Condenser.forward"),
        ("ring_positions", "angles_of"),
    ]
    found = match(left, right)
    assert found.coverage[1] > 0.9
    assert found.coverage[0] < 0.85  # RingPool.trim has no counterpart
    maps = {(a, b) for m in found.matches for a, b, _ in m.names().renamed}
    expected = {
        ("ring_positions", "angles_of"),
        ("RingPool", "Condenser"),
        ("seeds", "start"),
        ("slots", "k"),
        ("gate", "score"),
    }
    assert expected <= maps


def test_unrelated_sources_have_no_match() -> None:
    assert match(units(POOL, others=(OTHER,)), units(OTHER, others=(POOL,))).matches == ()


def test_a_source_matches_itself_completely() -> None:
    for source in (POOL, OTHER, CONDENSED):
        whole = units(source)
        found = compare_units(whole, whole)
        assert (found.left, found.right, found.score) == (1.0, 1.0, 1.0)


def test_swapping_the_sides_swaps_the_answer() -> None:
    left, right = units(POOL, "a.py", (CONDENSED,)), units(CONDENSED, "b.py", (POOL,))
    there, back = match(left, right), match(right, left)
    assert there.coverage == pytest.approx(back.coverage[::-1])
    assert {(m.left.unit.name, m.right.unit.name) for m in there.matches} == {
        (m.right.unit.name, m.left.unit.name) for m in back.matches
    }


SPLIT = """
import torch


def f(rows, bound):
    kept = [r for r in rows if r.numel() > bound * 3]
    widths = torch.tensor([r.shape[-1] for r in kept])
    mask = torch.arange(int(widths.max()))[None] < widths[:, None]
    sums = torch.nn.utils.rnn.pad_sequence(kept, batch_first=True, padding_value=-7.5).cumsum(dim=1)
    peaks = sums.masked_fill(~mask, float("-inf")).topk(4, dim=1).values
    return peaks.flip(1).logsumexp(dim=-1) / widths.sqrt()
"""
PARTS = """
import torch


def lengths(rows, bound):
    kept = [r for r in rows if r.numel() > bound * 3]
    widths = torch.tensor([r.shape[-1] for r in kept])
    return kept, widths, torch.arange(int(widths.max()))[None] < widths[:, None]


def peaks_of(kept, widths, mask):
    sums = torch.nn.utils.rnn.pad_sequence(kept, batch_first=True, padding_value=-7.5).cumsum(dim=1)
    peaks = sums.masked_fill(~mask, float("-inf")).topk(4, dim=1).values
    return peaks.flip(1).logsumexp(dim=-1) / widths.sqrt()
"""


def test_a_split_function_has_two_partners() -> None:
    whole, parts = units(SPLIT, "a.py"), units(PARTS, "b.py")
    found = match(whole, parts)
    assert {m.right.unit.name for m in found.matches if m.left.unit.name == "f"} == {"lengths", "peaks_of"}
    assert [m.part for m in found.matches] == [False, True]
    assert min(found.coverage) > 0.9
    merged = match(parts, whole)
    assert {m.left.unit.name for m in merged.matches} == {"lengths", "peaks_of"}


def test_tiny_functions_never_match() -> None:
    source = "class A:\n    def f(self):\n        return self.x\n\n    def g(self, k):\n        self.x = k\n"
    tiny = units(source)
    assert all(t.bits < MIN_BITS for t in tiny)
    assert match(tiny, tiny).matches == ()


def test_lines_answer_lines() -> None:
    left, right = units(SPLIT, "a.py"), units(SPLIT.replace("\n    sums", "\n\n\n    sums"), "b.py")
    found = match(left, right).matches[0]
    answers = dict(line_pairs(found.alignment))
    assert answers[6] == 6
    assert answers[11] == 13


def test_the_index_finds_the_source_among_others() -> None:
    index = Index([*units(OTHER), *units(POOL, "a.py", (CONDENSED,))])
    wanted = next(t for t in units(CONDENSED, "b.py", (POOL,)) if t.unit.name == "angles_of")
    assert index.nearest(wanted)[0].unit.name == "ring_positions"
