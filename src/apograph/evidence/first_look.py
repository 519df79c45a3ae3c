"""A first look at a large pair: is there any sign that the units of one side stand elsewhere on the other?

Pairing all units of two large models by content takes minutes. For independent models all of it is in vain,
so a sample is looked at first: some units of two modules of each kind against all units of their
counterparts. A unit stands out if its best partner is much better than its second best; how often that
happens by chance is told by the same units with their channels exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Half, Module
from apograph.align.pairing import basis
from apograph.align.role_modules import block_pairs, tower_pairs
from apograph.align.role_views import evenly, part, read, view_shape
from apograph.align.roles import Block, Roles, Tower, View
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore

Floats: TypeAlias = NDArray[np.float32]
Stores: TypeAlias = tuple[TensorStore, TensorStore]
_T = TypeVar("_T")
_known: WeakKeyDictionary[TensorStore, WeakKeyDictionary[TensorStore, dict[Hashable, Any]]]
_known = WeakKeyDictionary()

SMALL = 1 << 27
"""Elements of the smaller side up to which everything is looked at in any case."""
UNITS, CHANNELS, MODULES = 64, 256, 2
LEAST = 20
"""Of the 64 units, how many have to stand out further than every one with exchanged channels does: by chance
about once in a million times, 2^-20, if all are alike in law."""
ROWS_PER_CHANNEL = 4
"""Rows of the embeddings, for each channel, from which the rotation of the residual stream is found."""
ROWS, TURNED = 256, 0.2
"""Rows of the embeddings, and the correlation of their inner products on the two sides below which no
rotation takes the one to the other (independent elements: 0 within 0.03; a rotated copy: 1)."""


def small(stores: Stores) -> bool:
    """Whether everything can be looked at."""
    return min(sum(element_count(i.shape or ()) or 0 for i in s.infos.values()) for s in stores) <= SMALL


def _once(stores: Stores, question: Hashable, answer: Callable[[], _T]) -> _T:
    """The answer to a question about a pair, found once as long as its stores live: the coins and the gauge
    ask the same."""
    known = _known.setdefault(stores[0], WeakKeyDictionary()).setdefault(stores[1], {})
    if question not in known:
        known[question] = answer()
    found: _T = known[question]
    return found


def turn_of(towers: tuple[Tower, Tower], stores: Stores) -> NDArray[np.float32] | None:
    """The rotation of the residual stream that the first rows of the embeddings show; None without one."""
    return _once(stores, tuple(t.embedding for t in towers), lambda: _turn_of(towers, stores))


def _turn_of(towers: tuple[Tower, Tower], stores: Stores) -> NDArray[np.float32] | None:
    views = [t.embedding for t in towers if t.embedding is not None]
    if len(views) < 2 or not (small(stores) or turned(stores, views)):
        return None
    rows = min(view_shape(s, v)[0] for s, v in zip(stores, views, strict=True))
    rows = min(rows, ROWS_PER_CHANNEL * towers[0].width)
    return basis(*(read(s, replace(v, stop=v.start + rows)) for s, v in zip(stores, views, strict=True)))


def turned(stores: Stores, views: Sequence[View]) -> bool:
    """Whether two tables, taken row by row, may be rotations of each other."""
    count = min(view_shape(s, v)[0] for s, v in zip(stores, views, strict=True))
    products = []
    for store, view in zip(stores, views, strict=True):
        rows = part(store, view, evenly(count, ROWS))
        rows = rows - rows.mean(axis=0)
        products.append((rows @ rows.T)[np.triu_indices(len(rows), 1)].astype(np.float64))
    lengths = [float(np.linalg.norm(p)) for p in products]
    return min(lengths) > 0 and float(products[0] @ products[1]) > TURNED * lengths[0] * lengths[1]


def stands_out(a: Floats, b: Floats) -> bool:
    """Whether rows of ``a`` [some units, channels] have counterparts among ``b``'s, whatever the sign."""
    if a.shape[1] != b.shape[1] or len(b) < 3:
        return False
    a = a / _lengths(a)[:, None]
    mixed = a[:, np.random.default_rng(0).permutation(a.shape[1])]
    table = np.concatenate([a, mixed]) @ b.T
    np.abs(table, out=table)
    table /= _lengths(b)
    lines = np.arange(len(table))
    level, place = table.mean(axis=1), table.argmax(axis=1)
    best = table[lines, place]
    table[lines, place] = 0.0
    second = table.max(axis=1)
    gaps = (best - second) / np.maximum(second - level, 1e-30)
    return int((gaps[: len(a)] > gaps[len(a) :].max()).sum()) >= min(LEAST, len(a))


def elsewhere(roles: tuple[Roles, Roles], stores: Stores) -> bool:
    """Whether units of any tower's modules may stand elsewhere, or in another basis, on the other side."""
    for towers in tower_pairs(*roles):
        turn = turn_of(towers, stores)
        modules: dict[str, list[Module]] = {}
        for blocks in block_pairs(towers, stores):
            for module in _modules(*blocks):
                modules.setdefault(module.family, []).append(module)
        if any(worth(own, stores, turn) for own in modules.values()):
            return True
    return False


def _modules(a: Block, b: Block) -> Iterator[Module]:
    if a.attention is not None and b.attention is not None:
        halves = [
            (Half(x.v, x.o, None, _gain(block)), Half(x.k, x.q, None, _gain(block)))
            for x, block in ((a.attention, a), (b.attention, b))
        ]
        yield Module("vo", a.label, (), 1, 1, 1, (halves[0][0], halves[1][0]))
        yield Module("qk", a.label, (), 1, 1, 1, (halves[0][1], halves[1][1]))
    for one, other in zip(a.mlps, b.mlps, strict=False):
        yield Module("mlp", a.label, (), 1, 1, 1, (Half(one.up, one.down), Half(other.up, other.down)))


def _gain(block: Block) -> View | None:
    return block.before_attention.gain if block.before_attention is not None else None


def worth(modules: Iterable[Module], stores: Stores, turn: NDArray[np.float32] | None) -> bool:
    """Whether pairing such modules by content may show anything; ``turn`` rotates the reference."""
    own = list(modules)
    some = [own[n] for n in np.unique(evenly(len(own), MODULES + 2)[1:-1])] if len(own) > MODULES else own
    return any(
        _once(stores, (*_seen(m), turn is None), lambda m=m: _answers(m, stores, turn))  # type: ignore[misc]
        for m in some
    )


def _seen(module: Module) -> Iterator[View | None]:
    """What ``_answers`` looks at."""
    for half in module.halves:
        yield from (half.far, None) if module.family == "mlp" else (half.near, half.gain)


def _answers(module: Module, stores: Stores, turn: NDArray[np.float32] | None) -> bool:
    """Of an MLP the columns of down, of an attention the rows of v or k are compared."""
    columns = module.family == "mlp"
    rows = []
    for side, (store, half) in enumerate(zip(stores, module.halves, strict=True)):
        view = half.far if columns else half.near
        out, into = view_shape(store, view)
        width, units = (out, into) if columns else (into, out)
        chosen, some = evenly(width, CHANNELS), None if side else evenly(units, UNITS)
        gain = None if columns or half.gain is None else read(store, half.gain)
        whole = side == 0 and turn is not None and len(turn) == width
        kept = None if whole else chosen
        found = part(store, view, kept, some).T if columns else part(store, view, some, kept)
        if gain is not None:
            found = found * (gain if kept is None else gain[kept])
        rows.append(found @ turn[:, chosen] if whole and turn is not None else found)
    return stands_out(rows[0], rows[1])


def _lengths(x: Floats) -> Floats:
    made: Floats = np.maximum(np.sqrt(np.einsum("ij,ij->i", x, x)), 1e-30)
    return made
