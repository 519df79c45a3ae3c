"""What the heads of projections have in common: v with o, q with k; and how large a head is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from apograph.align.modules import Head
from apograph.align.role_match import agreement, correlation
from apograph.align.role_sheets import Reader, Reals, units, whitened
from apograph.align.role_views import read
from apograph.align.roles import View
from apograph.findings import Json, Refusal

Rotary: TypeAlias = Literal["half", "pairs", "none", "unknown"]
SMALLEST, LARGEST = 8, 256
SAMPLE = 4
"""Layers that are looked at for the size of a head."""


@dataclass(frozen=True, slots=True)
class Held:
    """Features of all dimensions of heads [heads * size, 4]; their Gram matrices [heads, size, size]."""

    units: Reals
    blocks: Reals


class Heads:
    """Projections seen head by head, read once for each size. ``columns``: the heads are columns (o)."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._held: dict[tuple[View, bool, int], Held | None] = {}

    def held(self, view: View, columns: bool, size: int) -> Held | None:
        """None where the values cannot be had."""
        key = view, columns, size
        if key not in self._held:
            try:
                matrix = read(self.reader.store, view)
            except Refusal:
                self._held[key] = None
                return None
            heads = (matrix.T if columns else matrix).reshape(-1, size, matrix.shape[0 if columns else 1])
            blocks = np.matmul(heads, heads.transpose(0, 2, 1)).astype(np.float64)
            self._held[key] = Held(units(heads.reshape(-1, heads.shape[2])), blocks)
        return self._held[key]

    def score(self, many: View, few: View, columns: bool, size: int) -> float:
        """Agreement of the heads of ``many`` (q, or o with ``columns``), those of one group taken together,
        with the heads of ``few`` (k or v)."""
        a, b = self.held(many, columns, size), self.held(few, False, size)
        if a is None or b is None or len(a.blocks) % len(b.blocks):
            return 0.0
        return agreement(_units(a, len(b.blocks)), b.units) + max(0.0, _blocks(a, b)[0])

    def evidence(self, many: View, few: View, columns: bool, size: int) -> float:
        """Standard deviations by which the Gram matrices within heads of this size agree."""
        a, b = self.held(many, columns, size), self.held(few, False, size)
        if a is None or b is None or len(a.blocks) % len(b.blocks):
            return 0.0
        return _blocks(a, b)[1]


def _units(a: Held, groups: int) -> Reals:
    size = a.blocks.shape[1]
    return whitened(
        a.units.reshape(groups, -1, size, a.units.shape[1]).mean(axis=1).reshape(groups * size, -1)
    )


def _blocks(a: Held, b: Held) -> tuple[float, float]:
    """Correlation beyond chance of the elements off the diagonals, and its standard deviations."""
    groups, size = b.blocks.shape[:2]
    upper = np.triu_indices(size, 1)
    x = a.blocks.reshape(groups, -1, size, size).sum(axis=1)[:, upper[0], upper[1]].ravel()
    y = b.blocks[:, upper[0], upper[1]].ravel()
    norm = math.sqrt(float(x @ x) * float(y @ y))
    if not norm:
        return 0.0, 0.0
    value = float(x @ y) / norm
    return math.copysign(max(0.0, abs(value) - 3 / math.sqrt(len(x))), value), value * math.sqrt(len(x))


def sizes(heads: int, groups: int, config: Mapping[str, Json]) -> tuple[list[int], bool]:
    """Head sizes that a query width and a key width allow; the configured one alone where it fits (True)."""
    for g in stated(config):
        if g.heads * g.size == heads and g.groups * g.size == groups:
            return [g.size], True
    most = min(LARGEST, groups)
    return [s for s in range(SMALLEST, most + 1) if groups % s == 0 and heads % s == 0 and s % 2 == 0] or [
        groups
    ], False


def stated(config: Mapping[str, Json]) -> list[Head]:
    """Heads that a configuration states, at any depth, whatever share of them turns with the position."""
    found = []
    heads, width = (
        next((n for k in keys if isinstance(n := config.get(k), int) and n > 0), None)
        for keys in (("num_attention_heads", "n_head"), ("hidden_size", "n_embd"))
    )
    if heads is not None:
        groups, size = config.get("num_key_value_heads") or heads, config.get("head_dim")
        if size is None and width is not None:
            size = width // heads
        if isinstance(groups, int) and isinstance(size, int) and size > 0 and heads % groups == 0:
            found.append(Head(heads, groups, size))
    return found + [h for v in config.values() if isinstance(v, dict) for h in stated(v)]


def numbers(config: Mapping[str, Json], part: str) -> set[int]:
    """Whole numbers of a configuration, at any depth, under keys that contain ``part``."""
    own = {v for k, v in config.items() if part in k and isinstance(v, int)}
    return own.union(*(numbers(v, part) for v in config.values() if isinstance(v, dict)))


def best_size(
    heads: Heads, candidates: Sequence[int], qk: Sequence[tuple[View, View]], vo: Sequence[tuple[View, View]]
) -> tuple[int, bool]:
    """The size of a head, and whether content tells it, from pairs of q and k, of o and v.

    First by the lengths of the dimensions, which differ from head to head (analysis of variance, each head
    costing ln(n)/2); else by the Gram matrices of q and k, which agree within heads and less across them."""
    if len(candidates) == 1:
        return candidates[0], True
    lengths = [_lengths(heads, v, c) for a, b in qk for v, c in ((a, False), (b, False))]
    lengths += [_lengths(heads, v, c) for a, b in vo for v, c in ((a, True), (b, False))]
    gain = {s: sum(_variance(x, s) for x in lengths if not x.size % s) for s in candidates}
    ranked = sorted(candidates, key=lambda s: -gain[s])
    if gain[ranked[0]] > 20:
        return ranked[0], gain[ranked[0]] > gain[ranked[1]] + 20
    inside = {
        s: sum(heads.evidence(a, b, False, s) for a, b in qk) / math.sqrt(max(1, len(qk))) for s in candidates
    }
    top = max(inside.values())
    if top < 6:
        return default_size(candidates), False
    return min(s for s in candidates if inside[s] > 0.85 * top), False


def _lengths(heads: Heads, view: View, columns: bool) -> Reals:
    traits = heads.reader.traits(view)
    return np.log(traits.squares[int(columns)] + 1e-30) if traits is not None else np.zeros(0)


def _variance(x: Reals, size: int) -> float:
    """Log likelihood gained by a mean for every head, less its price."""
    if x.size < 2 * size:
        return 0.0
    rows = x.reshape(-1, size)
    within = float(np.sum((rows - rows.mean(axis=1, keepdims=True)) ** 2))
    total = float(np.sum((x - x.mean()) ** 2))
    gained = x.size / 2 * math.log(total / within) if within > 0 and total > 0 else 0.0
    return gained - (len(rows) - 1) / 2 * math.log(x.size)


def default_size(candidates: Sequence[int]) -> int:
    """The candidate nearest to 64, the commonest size of a head."""
    return min(candidates, key=lambda s: abs(math.log(s / 64)))


def rotary(heads: Heads, views: Sequence[View], size: int, config: Mapping[str, Json]) -> Rotary:
    """How the dimensions of queries and keys turn with the position: "half" where the configuration has a
    rotary embedding of all dimensions, or where the lengths of dimensions show it. Never "pairs": lengths
    that change smoothly from dimension to dimension look the same."""
    if _turns(config):
        return "half"
    rows = []
    for view in views:
        held = heads.held(view, False, size)
        if held is not None:
            lengths = np.log(np.einsum("hii->hi", held.blocks) + 1e-30)
            rows.append(lengths - lengths.mean(axis=1, keepdims=True))
    if not rows or size % 2:
        return "unknown"
    table = np.concatenate(rows)
    apart = (table[:, : size // 2], table[:, size // 2 :]), (table[:, ::2], table[:, 1::2])
    half, pairs = (correlation(a.ravel(), b.ravel()) for a, b in apart)
    return "half" if half > 0.1 and half > 1.5 * pairs else "unknown"


def _turns(config: Mapping[str, Json]) -> bool:
    """Whether a configuration, at any depth, names a rotary embedding, and none that is partial."""
    partial = any(config.get(k) not in (None, 1, 1.0) for k in ("rotary_pct", "partial_rotary_factor"))
    named = any(config.get(k) is not None for k in ("rope_theta", "rope_parameters"))
    return (named and not partial) or any(
        _turns(v) for v in config.values() if isinstance(v, dict) and not partial
    )
