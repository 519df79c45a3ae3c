"""Modules with free signs from the role graph: where names do not tell, or do not tell enough.

Towers, layers, experts of the two sides are matched without looking at any signed product of what is tested
later: by the tensors that content matched (absolute values), by order, or by norms of rows, which no change
of sign and no permutation alters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.named import named_roles
from apograph.align.modules import Excluded, Family, Half, Module, rms
from apograph.align.role_graph import find_roles
from apograph.align.role_views import part, read, view_shape
from apograph.align.roles import Attention, Block, Mlp, Norm, Roles, Tower, View
from apograph.align.tensors import CLEAR, Match
from apograph.findings import Json
from apograph.release.tensor_store import TensorStore

Stores: TypeAlias = tuple[TensorStore, TensorStore]
Configs: TypeAlias = tuple[Mapping[str, Json], Mapping[str, Json]]
BETTER = 0.5
"""Layers are matched by their norms if that leaves at most half of the distance that their order leaves."""
_QUANTILES = 32
_known: WeakKeyDictionary[TensorStore, dict[tuple[Block, ...], NDArray[np.float64]]] = WeakKeyDictionary()
_LARGE, _SOME = 1 << 20, 1 << 18
"""Elements from which a matrix is large, and how many of its are looked at then."""


def role_modules(
    roles: tuple[Roles, Roles], stores: Stores, configs: Configs, matches: Iterable[Match] = ()
) -> tuple[list[Module], list[Excluded]]:
    """The modules of both sides' towers that answer each other, and those left out."""
    votes = {(m.reference.name, m.candidate.name) for m in matches if m.score >= CLEAR}
    found: list[Module] = []
    excluded: list[Excluded] = []
    for towers in tower_pairs(*roles):
        for blocks in block_pairs(towers, stores, votes):
            doubts = tuple(_doubts(b, r) for b, r in zip(blocks, roles, strict=True))
            for made in _of_blocks(blocks, stores, configs, doubts, towers):
                if isinstance(made, Module):
                    found.append(made)
                else:
                    excluded.append(made)
    return found, excluded


def _doubts(block: Block, roles: Roles) -> frozenset[str]:
    """What was arbitrary in this block's roles."""
    label = f"{block.label}: "
    return frozenset(d.removeprefix(label) for d in roles.doubtful if d.startswith(label))


def _unsure(family: Family, doubts: Sequence[frozenset[str]]) -> bool:
    """Whether a module's signs may not be free. Gates' rows have a mean: taken for up on *both* sides, they
    would agree in sign; on one side the other's signs are free still. The v and o of a block are themselves
    whichever of two matrices is q."""
    if family == "mlp":
        return all("gate and up" in d for d in doubts)
    harmless = {"block", "gate and up", "gate and up with down", "bias of up"}
    harmless |= {"q and k", "q, k with v, o"} if family == "vo" else set()
    return any(d - harmless for d in doubts)


def roles_of(stores: Stores, configs: Configs) -> tuple[Roles, Roles]:
    """Both sides' roles: by their names where both use names that are known, else from content (which reads
    every matrix)."""
    a, b = (named_roles(s, c) for s, c in zip(stores, configs, strict=True))
    if a.towers and b.towers:
        return a, b
    return find_roles(stores[0], configs[0]), find_roles(stores[1], configs[1])


def tower_pairs(a: Roles, b: Roles) -> Iterator[tuple[Tower, Tower]]:
    """Towers of equal kind and width, those of equal depth first, then in order."""
    free = list(b.towers)
    for tower in a.towers:
        same = [t for t in free if (t.kind, t.width) == (tower.kind, tower.width)]
        if same:
            best = min(same, key=lambda t: abs(len(t.blocks) - len(tower.blocks)))
            free.remove(best)
            yield tower, best


def block_pairs(
    towers: tuple[Tower, Tower], stores: Stores, votes: Iterable[tuple[str, str]] = ()
) -> list[tuple[Block, Block]]:
    """Layers that answer each other, one-to-one, in the reference's order."""
    from scipy.optimize import linear_sum_assignment

    a, b = (list(t.blocks) for t in towers)
    if not a or not b:
        return []
    own = [{v.name: n for n, block in enumerate(side) for v in _views(block)} for side in (a, b)]
    counted = Counter((own[0].get(x), own[1].get(y)) for x, y in votes)
    table = np.zeros((len(a), len(b)))
    for (i, j), n in counted.items():
        if i is not None and j is not None:
            table[i, j] = n
    if table.any():
        return [(a[i], b[j]) for i, j in zip(*linear_sum_assignment(-table), strict=True) if table[i, j]]
    marks = [_marked(t.blocks, store) for t, store in zip(towers, stores, strict=True)]
    if marks[0].shape[1] != marks[1].shape[1]:
        return list(zip(a, b, strict=True)) if len(a) == len(b) else []
    distance = np.linalg.norm(marks[0][:, None] - marks[1][None], axis=2)
    rows, columns = linear_sum_assignment(distance)
    if len(a) == len(b) and distance[rows, columns].sum() > BETTER * np.trace(distance):
        return list(zip(a, b, strict=True))
    return [(a[i], b[j]) for i, j in zip(rows, columns, strict=True)]


def _views(block: Block) -> Iterator[View]:
    if block.attention is not None:
        attention = block.attention
        yield from (attention.q, attention.k, attention.v, attention.o)
    for mlp in block.mlps:
        yield from (mlp.up, mlp.down)


def _marked(blocks: tuple[Block, ...], store: TensorStore) -> NDArray[np.float64]:
    """``_marks``, taken once as long as the store lives."""
    known = _known.setdefault(store, {})
    if blocks not in known:
        known[blocks] = _marks(blocks, store)
    return known[blocks]


def _marks(blocks: Sequence[Block], store: TensorStore) -> NDArray[np.float64]:
    """[layers, .]: quantiles of the logarithm of unit norms, gains folded in: changed neither by signs nor by
    the order of the units nor by a rotation of the residual stream. Of large matrices, of some units only,
    and of an MLP's only where there is no attention."""
    levels = np.linspace(0, 1, _QUANTILES)

    def row(view: View, gain: View | None, columns: bool = False) -> list[float]:
        out, into = view_shape(store, view)
        some = _runs(out, _SOME // into) if _large(store, view) and not columns else None
        matrix = part(store, view, some)
        if gain is not None:
            matrix = matrix * read(store, gain)
        norms = np.sqrt(np.einsum("ij,ij->j" if columns else "ij,ij->i", matrix, matrix))
        sorted_norms = np.sort(np.log(np.maximum(norms, 1e-30)))
        return list(np.interp(levels * (len(norms) - 1), np.arange(len(norms)), sorted_norms))

    rows = []
    for block in blocks:
        mark: list[float] = []
        if block.attention is not None:
            gain = _gain(block.before_attention)
            mark += row(block.attention.k, gain) + row(block.attention.v, gain)
        if block.mlps and (not mark or not _large(store, block.mlps[0].down)):
            mark += row(block.mlps[0].down, None, columns=True)
        rows.append(mark)
    width = max(map(len, rows))
    return np.array([r for r in rows if len(r) == width] if all(len(r) == width for r in rows) else [[]])


def _large(store: TensorStore, view: View) -> bool:
    return math.prod(view_shape(store, view)) >= _LARGE


def _runs(n: int, most: int) -> NDArray[np.int64]:
    """About ``most`` of ``n`` places, in eight runs: short ones would take a read each."""
    length = max(most // 8, 1)
    starts = np.arange(8) * max(n - length, 0) // 7
    return np.unique(np.minimum(starts[:, None] + np.arange(length), n - 1))


def _gain(norm: Norm | None) -> View | None:
    return norm.gain if norm is not None else None


def _of_blocks(
    blocks: tuple[Block, Block],
    stores: Stores,
    configs: Configs,
    doubts: Sequence[frozenset[str]],
    towers: tuple[Tower, Tower],
) -> Iterator[Module | Excluded]:
    a, b = blocks
    tower = towers[0].label
    if a.attention is not None and b.attention is not None:
        yield from _attention((a, b), (a.attention, b.attention), stores, configs, doubts, towers)
    for number, mlps in enumerate(zip(a.mlps, b.mlps, strict=False)):
        label = f"{a.label}.{number}" if len(a.mlps) > 1 else a.label
        inner = [_spoils(m.inner, c) for m, c in zip(mlps, configs, strict=True)]
        if any(m.gate is None for m in mlps):
            yield Excluded("mlp", label, "ungated")
        elif any(inner):
            yield Excluded("mlp", label, "norm")
        elif _unsure("mlp", doubts):
            yield Excluded("mlp", label, "role")
        else:
            halves = [_mlp_half(m, x) for m, x in zip(mlps, blocks, strict=True)]
            sizes = [view_shape(s, m.up) for s, m in zip(stores, mlps, strict=True)]
            if sizes[0][1] == sizes[1][1]:
                yield Module("mlp", label, (), min(n for n, _ in sizes), 1, 1, (halves[0], halves[1]),
                             None, False, tower)  # fmt: skip
            else:
                yield Excluded("mlp", label, "geometry")


def _mlp_half(mlp: Mlp, block: Block) -> Half:
    return Half(mlp.up, mlp.down, mlp.gate, _gain(block.before_mlp))


def _attention(
    blocks: tuple[Block, Block],
    pair: tuple[Attention, Attention],
    stores: Stores,
    configs: Configs,
    doubts: Sequence[frozenset[str]],
    towers: tuple[Tower, Tower],
) -> Iterator[Module | Excluded]:
    a, b = pair
    label, tower = blocks[0].label, towers[0].label
    shared = a.heads // a.groups
    fits = (a.size, shared, a.cross) == (b.size, b.heads // b.groups, b.cross)
    widths = {v: [view_shape(s, getattr(x, v)) for s, x in zip(stores, pair, strict=True)] for v in "qkvo"}
    fits &= all(w[0][1] == w[1][1] for v, w in widths.items() if v != "o") and len(
        {n for n, _ in widths["o"]}
    ) == 1  # fmt: skip
    gains = [
        None if x.cross else _gain(block.before_attention) for x, block in zip(pair, blocks, strict=True)
    ]
    turning = rotated(configs, a.size, towers[0].kind == "decoder")
    for family, near, far in (("vo", "v", "o"), ("qk", "k", "q")):
        name: Family = "vo" if family == "vo" else "qk"
        norms = [(x.inner,) if name == "vo" else (x.q_norm, x.k_norm) for x in pair]
        if any(_spoils(n, c) for found, c in zip(norms, configs, strict=True) for n in found):
            yield Excluded(name, label, "norm")
        elif not fits or (name == "qk" and turning is None):
            yield Excluded(name, label, "geometry")
        elif _unsure(name, doubts):
            yield Excluded(name, label, "role")
        else:
            halves = [
                Half(getattr(x, near), getattr(x, far), None, g) for x, g in zip(pair, gains, strict=True)
            ]
            yield Module(name, label, (), min(a.groups, b.groups), a.size, shared, (halves[0], halves[1]),
                         turning, True, tower)  # fmt: skip


def _spoils(norm: Norm | None, config: Mapping[str, Json]) -> bool:
    """A norm with which flips need not commute. Shapes cannot tell an RMSNorm from a LayerNorm without bias:
    the configuration has to."""
    return norm is not None and (norm.kind != "rms" or not rms(config))


def rotated(configs: Configs, size: int, decoder: bool) -> int | None:
    """Dimensions of a head that may be rotated by position; None where that is not known, or where heads
    cannot be cut into whole quadruples."""
    shares = {s for c in configs for s in _partial(c, size)}
    if len(shares) > 1 or (shares and not decoder):
        return None
    turning = shares.pop() if shares else size
    return turning if size % 4 == turning % 4 == 0 and 0 < turning <= size else None


def _partial(config: Mapping[str, Any], size: int) -> Iterator[int]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _partial(value, size)
        elif key in ("partial_rotary_factor", "rotary_pct") and isinstance(value, int | float):
            yield int(size * value)
        elif key == "rotary_dim" and isinstance(value, int):
            yield value
