"""The modules of a model in which signs are free: gated MLPs, value/output and query/key projections.

Which matrix plays which role is read from names of either side (the two must not contradict each other) and
checked against shapes and the configured geometry; a module for which this is not certain is left out, with
the reason. Flipping the sign of one unit, in all matrices that hold it, leaves the function unchanged.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import View
from apograph.align.tensors import Match, Part
from apograph.findings import Json
from apograph.release.tensor_store import TensorStore

Family: TypeAlias = Literal["mlp", "vo", "qk"]
FAMILIES: tuple[Family, ...] = ("mlp", "vo", "qk")
_ROLES = {
    "gate": ("gate_proj", "w1", "ffn_gate", "wi_0"),
    "up": ("up_proj", "w3", "ffn_up", "wi_1"),
    "down": ("down_proj", "w2", "ffn_down"),
    "gate_up": ("gate_up_proj",),
    "q": ("q_proj", "wq", "attn_q", "query", "q"),
    "k": ("k_proj", "wk", "attn_k", "key", "k"),
    "v": ("v_proj", "wv", "attn_v", "value", "v"),
    "o": ("o_proj", "wo", "attn_output", "out_proj", "o", "proj"),
    "qkv": ("qkv_proj", "in_proj_weight", "wqkv", "attn_qkv", "qkv"),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
_BERT_OUTPUT = "attention.output.dense.weight"
"""BERT keeps the output projection beside the module that holds query, key and value."""
_QK_NORM = re.compile(r"(^|[._])(q|k|query|key)_?(layer)?_?(norm|ln)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of one match that belongs to a module: rows or columns [start, stop) of the matched parts."""

    match: Match
    axis: Literal["rows", "columns"]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Half:
    """One side's matrices of a module, seen as [out, in]: up and down, v and o, or k and q. ``gain`` belongs
    to the norm whose output ``near`` reads."""

    near: View
    far: View
    gate: View | None = None
    gain: View | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """One set of units. ``label`` is the module's path on the reference's side. ``slices`` of a gated MLP are
    (up, down), else (v, o) or (k, q). ``groups`` key/value heads of ``units`` dimensions; ``shared`` query
    heads use each of them (all 1 wide for an MLP: groups = its hidden units, units = shared = 1).

    ``roles`` are both sides' matrices where the role graph tells them; a module that only it tells has no
    slices, and its two sides may have different numbers of groups. ``turning`` of the dimensions of a head
    are rotated by position (None: all). ``sure`` is False where the graph cannot tell ``near`` from another
    matrix: its coins are then thrown from ``far`` alone.
    """

    family: Family
    label: str
    slices: tuple[Slice, ...]
    groups: int
    units: int
    shared: int
    roles: tuple[Half, Half] | None = None
    turning: int | None = None
    sure: bool = True
    tower: str = ""

    @property
    def halves(self) -> tuple[Half, Half]:
        """Both sides' matrices."""
        if self.roles is not None:
            return self.roles
        near, far = self.slices
        return (
            Half(_view(near, near.match.reference, False), _view(far, far.match.reference, False)),
            Half(
                _view(near, near.match.candidate, near.match.transposed),
                _view(far, far.match.candidate, far.match.transposed),
            ),
        )

    @property
    def place(self) -> tuple[str, str, int, int]:
        """What tells a module from all others of the reference."""
        return place_of(self, 0)

    def quads(self) -> NDArray[np.int64]:
        """[units / 4, 4]: dimensions of a query/key head that are flipped together. The planes of a rotary
        embedding are (i, i + d/2) in some code and (2i, 2i + 1) in other; the four dimensions 2i, 2i + 1,
        2i + d/2, 2i + 1 + d/2 are two whole planes in both, and free without one."""
        turning = self.units if self.turning is None else self.turning
        half, rest = turning // 2, self.units - turning
        first = np.arange(0, half, 2)[:, None] + np.array([0, 1, half, half + 1])
        return np.concatenate([first, np.arange(turning, turning + rest).reshape(-1, 4)])


def place_of(module: Module, side: int) -> tuple[str, str, int, int]:
    """Family and ``far`` matrix of one side (0 reference, 1 candidate)."""
    far = module.halves[side].far
    return module.family, far.name, far.start, -1 if far.item is None else far.item


def _view(piece: Slice, part: Part, turned: bool) -> View:
    if piece.axis == "columns":
        return View(part.name, part.start, part.stop, turned)
    return View(part.name, part.start + piece.start, part.start + piece.stop, turned)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A module whose coins are not thrown. reason: "ungated", "norm", "geometry" or "role"."""

    family: Family
    label: str
    reason: Literal["ungated", "norm", "geometry", "role"]


@dataclass(frozen=True, slots=True)
class Head:
    """Head geometry as a configuration states it."""

    heads: int
    groups: int
    size: int


@dataclass(frozen=True, slots=True)
class _Side:
    store: TensorStore
    config: Mapping[str, Json]
    part: Callable[[Match], Part]

    def vectors(self, parent: str) -> dict[str, int]:
        """The one-dimensional tensors below ``parent``, by the rest of their names, with their lengths."""
        return {
            name[len(parent) + 1 :]: info.shape[0]
            for name, info in self.store.infos.items()
            if info.shape is not None and len(info.shape) == 1 and name.startswith(f"{parent}.")
        }


def find_modules(
    matches: Iterable[Match],
    stores: tuple[TensorStore, TensorStore],
    configs: tuple[Mapping[str, Json], Mapping[str, Json]],
) -> tuple[list[Module], list[Excluded]]:
    """The modules both of whose matrices are matched one-to-one, and those left out."""
    sides = (
        _Side(stores[0], configs[0], lambda m: m.reference),
        _Side(stores[1], configs[1], lambda m: m.candidate),
    )
    parents: dict[tuple[str, str], dict[str, Match]] = defaultdict(dict)
    wrong: set[tuple[str, str]] = set()
    used: tuple[set[Part], set[Part]] = (set(), set())
    for match in matches:
        paths = [_split(side.part(match).name) for side in sides]
        roles = {role for _, role in paths if role is not None}
        if not roles or match.reference in used[0] or match.candidate in used[1]:
            continue
        shapes = [side.store.infos[side.part(match).name].shape or () for side in sides]
        if any(len(shape) < 2 or 0 in shape for shape in shapes):
            continue
        parent = paths[0][0], paths[1][0]
        if len(roles) > 1 and not (match.how == "fused" and roles & {"qkv", "gate_up"}):
            wrong.add(parent)
            continue
        role = next(iter(roles - {"qkv", "gate_up"})) if len(roles) > 1 else roles.pop()
        used[0].add(match.reference)
        used[1].add(match.candidate)
        parents[parent][role] = match
    found: list[Module] = []
    excluded = [Excluded("mlp", a, "role") for a, _ in sorted(wrong)]
    heads = [h for side in sides for h in geometries(side.config)]
    for parent in parents.keys() - wrong:
        made = list(_of_parent(parents[parent], parent, sides, heads))
        found += [m for m in made if isinstance(m, Module)]
        excluded += [m for m in made if isinstance(m, Excluded)]
    order = {match.reference: n for n, match in enumerate(matches)}
    found.sort(key=lambda m: (order[m.slices[0].match.reference], m.family))
    return found, sorted(excluded, key=lambda e: (e.label, e.family))


def geometries(config: Mapping[str, Json]) -> list[Head]:
    """Every head geometry that a configuration states, at any depth."""
    found = []
    heads, hidden = config.get("num_attention_heads"), config.get("hidden_size")
    if isinstance(heads, int) and heads > 0:
        groups, size = config.get("num_key_value_heads") or heads, config.get("head_dim")
        if size is None and isinstance(hidden, int):
            size = hidden // heads
        partial = [config.get(k) for k in ("partial_rotary_factor", "rotary_pct")]
        plain = all(p is None or p == 1 for p in partial)
        if isinstance(groups, int) and isinstance(size, int) and heads % groups == 0 and size > 0 and plain:
            found.append(Head(heads, groups, size))
    return found + [h for v in config.values() if isinstance(v, dict) for h in geometries(v)]


def rms(config: Mapping[str, Json]) -> bool:
    """Whether a configuration speaks of RMSNorm, at any depth."""
    return "rms_norm_eps" in config or any(rms(v) for v in config.values() if isinstance(v, dict))


def _split(name: str) -> tuple[str, str | None]:
    """Parent path and role of a tensor's name; role None when it is not known."""
    parent, _, last = name.removesuffix(".weight").rpartition(".")
    if name.endswith(_BERT_OUTPUT):
        return f"{parent.removesuffix('output')}self", "o"
    return parent, _ROLE_OF.get(last.lower())


def _of_parent(
    roles: dict[str, Match], parent: tuple[str, str], sides: tuple[_Side, _Side], heads: list[Head]
) -> Iterable[Module | Excluded]:
    label = parent[0]
    shape = {role: _shape(m, sides[0].store) for role, m in roles.items()}
    if "up" in roles or "gate_up" in roles:
        yield from _mlp(roles, shape, parent, sides)
    if "o" not in roles and not {"q", "k"} <= roles.keys():
        return
    rows: dict[str, tuple[int, int]] = {r: (0, shape[r][0]) for r in "qkv" if r in roles}
    inner = shape["o"][1] if "o" in roles else shape["q"][0]
    if "qkv" in roles:
        total = shape["qkv"][0]
        fits = {(h.heads, h.groups, h.size) for h in heads if (h.heads + 2 * h.groups) * h.size == total}
        if total == 3 * inner:
            rows = {role: (n * inner, (n + 1) * inner) for n, role in enumerate("qkv")}
        elif len(fits) == 1:
            n, g, d = fits.pop()
            rows = {"q": (0, n * d), "k": (n * d, (n + g) * d), "v": ((n + g) * d, total)}
    narrow = rows["k"][1] - rows["k"][0] if "k" in rows else inner
    sizes = {h.size for h in heads if h.heads * h.size == inner and h.groups * h.size == narrow}
    size = sizes.pop() if len(sizes) == 1 else None

    def rows_of(role: str) -> Slice:
        return Slice(roles.get(role) or roles["qkv"], "rows", *rows[role])

    norms = _norms(parent, sides, inner)
    if "o" in roles and "v" in rows:
        height = rows["v"][1] - rows["v"][0]
        if norms["vo"]:
            yield Excluded("vo", label, "norm")
        elif height == inner or (size is not None and height == narrow):
            slices = rows_of("v"), Slice(roles["o"], "columns", 0, inner)
            width = size or inner
            yield Module("vo", label, slices, height // width, width, inner // height)
        else:
            yield Excluded("vo", label, "geometry")
    if {"q", "k"} <= rows.keys():
        if norms["qk"]:
            yield Excluded("qk", label, "norm")
        elif size is not None and size % 4 == 0:
            yield Module("qk", label, (rows_of("k"), rows_of("q")), narrow // size, size, inner // narrow)
        else:
            yield Excluded("qk", label, "geometry")


def _mlp(
    roles: dict[str, Match],
    shape: dict[str, tuple[int, int]],
    parent: tuple[str, str],
    sides: tuple[_Side, _Side],
) -> Iterable[Module | Excluded]:
    if "gate_up" in roles:
        inner = shape["gate_up"][0] // 2
        up = Slice(roles["gate_up"], "rows", inner, 2 * inner)
    else:
        inner = shape["up"][0]
        up = Slice(roles["up"], "rows", 0, inner)
        if "gate" not in roles:
            yield Excluded("mlp", parent[0], "ungated")
            return
    if "down" not in roles or shape["down"][1] != inner:
        yield Excluded("mlp", parent[0], "geometry")
        return
    for side, path in zip(sides, parent, strict=True):
        for name, length in side.vectors(path).items():
            role = _split(name.removesuffix(".bias"))[1] if name.endswith(".bias") else None
            if length == inner and role is None and not _harmless(side, path, name):
                yield Excluded("mlp", parent[0], "norm")
                return
    yield Module("mlp", parent[0], (up, Slice(roles["down"], "columns", 0, inner)), inner, 1, 1)


def _norms(parent: tuple[str, str], sides: tuple[_Side, _Side], inner: int) -> dict[str, bool]:
    """Whether a norm that is not symmetric stands before the output projection ("vo") or on q and k."""
    bad = {"vo": False, "qk": False}
    for side, path in zip(sides, parent, strict=True):
        for name, length in side.vectors(path).items():
            if name.endswith("_bias") or (name.endswith(".bias") and _split(name.removesuffix(".bias"))[1]):
                continue
            if not _harmless(side, path, name):
                if _QK_NORM.search(name):
                    bad["qk"] = True
                elif length == inner and "norm" in name.lower() + "norm" * ("ln" in name.lower()):
                    bad["vo"] = True
    return bad


def _harmless(side: _Side, path: str, name: str) -> bool:
    """A norm without a bias in a model whose configuration speaks of RMSNorm; flips commute with it."""
    stem = name.removesuffix(".weight").removesuffix(".bias")
    return rms(side.config) and f"{path}.{stem}.bias" not in side.store.infos


def _shape(match: Match, store: TensorStore) -> tuple[int, int]:
    shape = store.infos[match.reference.name].shape or (1, 1)
    stop = shape[0] if match.reference.stop is None else match.reference.stop
    return stop - match.reference.start, shape[1] if len(shape) == 2 else 0
