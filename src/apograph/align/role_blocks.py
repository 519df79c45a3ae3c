"""Attentions and MLPs over one stream put together into blocks, with their norms and biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from apograph.align.role_attention import Found
from apograph.align.role_match import alike, correlation, pairing
from apograph.align.role_mlps import FoundMlp
from apograph.align.role_sheets import Reader, Reals, Vector
from apograph.align.role_streams import Piece
from apograph.align.role_vectors import Vectors
from apograph.align.roles import Attention, Block, Mlp, Norm, View

EARLIER = 0.01
"""Weight of the rule that of two norms of a block the first stands before the attention."""


@dataclass(slots=True)
class Layer:
    """A block in the making. ``place``: mean place in the checkpoint of what it holds."""

    attention: Found | None
    mlps: list[FoundMlp]
    router: View | None = None
    doubts: set[str] = field(default_factory=set)

    @property
    def place(self) -> float:
        """Of the attention and of the MLPs, in the middle."""
        places = [float(np.mean([m.place for m in self.mlps]))] if self.mlps else []
        return float(np.mean([*places, self.attention.place] if self.attention else places))

    def reads(self) -> tuple[list[View], list[View]]:
        """What reads the stream for the attention, and for the MLPs."""
        a = [] if self.attention is None else list(dict.fromkeys((self.attention.q, self.attention.k)))
        return a, [v for m in self.mlps[:4] for v in (m.mlp.gate, m.mlp.up) if v is not None]


def group_experts(
    mlps: Sequence[FoundMlp], routers: Sequence[Piece], reader: Reader, hint: float
) -> list[tuple[list[FoundMlp], View | None]]:
    """MLPs that one router chooses from stand together: those of one stack, or those that read the stream as
    the router does."""
    groups: dict[str, list[FoundMlp]] = {}
    for m in mlps:
        groups.setdefault(m.stack or m.mlp.down.name, []).append(m)
    found = list(groups.values())
    each = len(found) // len(routers) if routers else 1
    if each > 1 and each == routers[0].out:
        joined: dict[View, list[FoundMlp]] = {r.view: [] for r in routers}
        for group, router, _ in pairing(
            found, routers, lambda g, r: like_readers([g[0].mlp.up], [r.view], reader), each, hint
        ):
            joined[router.view] += group
        return [(sorted(g, key=lambda m: m.place), r) for r, g in joined.items()]
    by_router = {
        id(g): r.view
        for g, r, _ in pairing(
            found, routers, lambda g, r: like_readers([g[0].mlp.up], [r.view], reader), 1, hint
        )
    }
    return [(g, by_router.get(id(g))) for g in found]


def like_readers(a: Sequence[View], b: Sequence[View], reader: Reader) -> float:
    """How much two sets of matrices look at the same channels."""
    total = 0.0
    for x in a:
        for y in b:
            one, two = reader.traits(x), reader.traits(y)
            if one is not None and two is not None:
                total += max(0.0, alike(one.grams[1], two.grams[1]))
    return total / max(1, len(a) * len(b))


def join_layers(
    attentions: Sequence[Found],
    groups: Sequence[tuple[list[FoundMlp], View | None]],
    reader: Reader,
    hint: float,
) -> list[Layer]:
    """One attention with one MLP (or its experts), as like in what they read as can be."""
    ordered = sorted(groups, key=lambda g: g[0][0].place)
    taken = pairing(
        attentions,
        ordered,
        lambda a, g: like_readers([a.q, a.k], [m.mlp.up for m in g[0][:2]], reader),
        hint=hint,
    )
    layers = []
    used: set[int] = set()
    for a, g, clear in taken:
        used |= {id(a), id(g)}
        layers.append(Layer(a, g[0], g[1], set() if clear else {"block"}))
    layers += [Layer(a, []) for a in attentions if id(a) not in used]
    layers += [Layer(None, g[0], g[1]) for g in ordered if id(g) not in used]
    return sorted(layers, key=lambda y: y.place)


def give_norms(
    layers: Sequence[Layer], gains: Sequence[Vector], reader: Reader, hint: float
) -> tuple[dict[tuple[int, int], Vector], list[Vector]]:
    """The norm before the attention (0) and before the MLP (1) of each layer, and the other gains. A gain and
    the columns of what reads through it are correlated after training."""
    sets = [(n, k, r) for n, layer in enumerate(layers) for k, r in enumerate(layer.reads()) if r]
    lengths = {key: _columns(views, reader) for *key_, views in sets for key in [tuple(key_)]}
    extra = len(gains) - 2 * len(layers)
    table = {}
    for i, g in enumerate(gains):
        values = np.log(np.abs(reader.vector(View(g.name))) + 1e-30)
        nearest = i // 2 if 0 <= extra <= 2 else _nearest(layers, g.place)
        for n, k, _ in sets:
            early = EARLIER * (i % 2 == k)
            table[i, n, k] = abs(correlation(values, lengths[n, k])) + hint * (nearest == n) + early
    chosen = pairing(
        list(range(len(gains))), [(n, k) for n, k, _ in sets], lambda i, s: table[i, s[0], s[1]], hint=0.0
    )
    norms = {(s[0], s[1]): gains[i] for i, s, _ in chosen}
    used = {v.name for v in norms.values()}
    return norms, [g for g in gains if g.name not in used]


def _nearest(layers: Sequence[Layer], place: int) -> int:
    return min(range(len(layers)), key=lambda n: abs(layers[n].place - place), default=0)


def _columns(views: Sequence[View], reader: Reader) -> Reals:
    total: Reals = np.zeros(1)
    for v in views:
        traits = reader.traits(v)
        if traits is not None:
            total = total + traits.squares[1]
    return np.asarray(np.log(total + 1e-30))


def bias_of(view: View, owner: Mapping[str, str]) -> View | None:
    """The same rows of the bias of the tensor, if its owner is known."""
    name = owner.get(view.name)
    return None if name is None else replace(view, name=name, turned=False)


def norm_of(gain: Vector, vectors: Vectors, layered: bool) -> Norm:
    """With its bias where that is known."""
    bias = vectors.owner.get(gain.name)
    return Norm(View(gain.name), View(bias) if bias else None, "layer" if bias or layered else "rms")


def block(label: str, layer: Layer, rotary: str, norms: Sequence[Norm | None], vectors: Vectors) -> Block:
    """The finished block."""
    own = vectors.owner
    attention = None
    if (f := layer.attention) is not None:
        attention = Attention(
            f.q,
            f.k,
            f.v,
            f.o,
            f.heads,
            f.groups,
            f.size,
            rotary,  # type: ignore[arg-type]
            tuple(bias_of(v, own) for v in (f.q, f.k, f.v, f.o)),  # type: ignore[arg-type]
        )
    mlps = tuple(_biased(m.mlp, own) for m in layer.mlps)
    present = tuple(n for n in norms if n is not None)
    return Block(label, attention, mlps, layer.router, norms[0], norms[1], present)


def _biased(mlp: Mlp, own: Mapping[str, str]) -> Mlp:
    gate = None if mlp.gate is None else bias_of(mlp.gate, own)
    return replace(mlp, up_bias=bias_of(mlp.up, own), down_bias=bias_of(mlp.down, own), gate_bias=gate)
