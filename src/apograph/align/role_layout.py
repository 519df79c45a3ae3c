"""What the matrices of one layer can be, by their shapes alone: MLPs or experts, a router, an attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Literal, TypeAlias

Shape: TypeAlias = tuple[int, int]
Kind: TypeAlias = Literal["gated", "fused", "plain"]


@dataclass(frozen=True, slots=True)
class Mlps:
    """Slots of all MLPs of one hidden ``size``: readers (gate and up of one MLP after the other), writers."""

    kind: Kind
    size: int
    readers: tuple[int, ...]
    writers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """Slots of q, k, v, o; of a fused q, k, v thrice the same. ``queries`` and ``keys`` are widths."""

    q: int
    k: int
    v: int
    o: int
    queries: int
    keys: int


@dataclass(frozen=True, slots=True)
class Layout:
    """``attentions`` are all that shapes allow; none where a layer has no attention."""

    mlps: tuple[Mlps, ...]
    router: int | None
    attentions: tuple[Parts, ...]
    rest: tuple[int, ...]


def layouts(shapes: Mapping[int, Shape], width: int, experts: int, hidden: Sequence[int]) -> list[Layout]:
    """Every way to see matrices [out, in], by slot, as one layer over a stream of ``width``, the likeliest
    first: one that leaves nothing over, has an attention, and hidden sizes that the configuration names.
    ``experts``: items of stacks, 0 without any."""
    inner = sorted({s[1] for s in shapes.values() if s[0] == width != s[1]})
    found = []
    for kinds in product(*[(None, *_kinds(shapes, x, width)) for x in inner]):
        mlps = tuple(m for m in kinds if m is not None)
        used = {i for m in mlps for i in (*m.readers, *m.writers)}
        left = {i: s for i, s in shapes.items() if i not in used}
        counts = {experts, *(len(m.writers) for m in mlps)} - {0, 1}
        router = next((i for i, s in left.items() if s[1] == width and s[0] in counts), None)
        left.pop(router, None)  # type: ignore[arg-type]
        whole = [(a, {a.q, a.k, a.v, a.o}) for a in _attentions(left, width)]
        own = max((slots for _, slots in whole), key=len, default=set())
        attentions = tuple(a for a, slots in whole if slots == own)
        found.append(Layout(mlps, router, attentions, tuple(i for i in left if i not in own)))
    known = [x for x in found if x.mlps or x.attentions]

    def order(x: Layout) -> tuple[int, bool, int]:
        return len(x.rest), not x.attentions, -sum(m.size in hidden for m in x.mlps)

    return sorted(known, key=order)


def _kinds(shapes: Mapping[int, Shape], size: int, width: int) -> Iterator[Mlps]:
    writers = tuple(i for i, s in shapes.items() if s == (width, size))
    single = tuple(i for i, s in shapes.items() if s == (size, width))
    double = tuple(i for i, s in shapes.items() if s == (2 * size, width))
    if len(single) == 2 * len(writers):
        yield Mlps("gated", size, single, writers)
    if len(single) == len(writers):
        yield Mlps("plain", size, single, writers)
    if len(double) == len(writers) and not single:
        yield Mlps("fused", size, double, writers)


def _attentions(left: Mapping[int, Shape], width: int) -> Iterator[Parts]:
    """Keys and values may be read from another stream: both of one shape."""
    if len(left) > 6:
        return
    for fused, o in permutations(left, 2):
        (total, inn), (out, queries) = left[fused], left[o]
        keys = (total - queries) // 2
        whole = 0 < keys <= queries and total == queries + 2 * keys and queries % keys == 0
        if inn == out == width and whole:
            yield Parts(fused, fused, fused, o, queries, keys)
    for q, k, v, o in permutations(left, 4):
        (queries, inn), (keys, _), (out, inner) = left[q], left[k], left[o]
        fits = inn == out == width and inner == queries and left[k] == left[v] and keys <= queries
        if fits and queries % keys == 0:
            yield Parts(q, k, v, o, queries, keys)
