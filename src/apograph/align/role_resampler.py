"""A resampler: queries of its own that attend, in one fused attention, to what another stream holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apograph.align.role_attention import parts_of
from apograph.align.role_heads import Heads, best_size, sizes
from apograph.align.role_runs import Stored, beside
from apograph.align.role_sheets import Sheet, Vector
from apograph.align.role_streams import Piece
from apograph.align.role_vectors import is_gain
from apograph.align.roles import Attention, Block, Mlp, Norm, Tower, View


@dataclass(frozen=True, slots=True)
class Resampler:
    """The tower, the tensors that it holds and what is doubtful about it."""

    tower: Tower
    names: frozenset[str]
    doubtful: tuple[str, ...]


def find_resamplers(
    tensors: Sequence[Stored], kernels: Sequence[Sheet], heads: Heads, side: int
) -> list[Resampler]:
    """Among tensors, in stored order, that stand outside all runs of layers."""
    found: list[Resampler] = []
    at = 0
    while at < len(tensors):
        fused = tensors[at]
        width = min(fused.rows, fused.columns) if isinstance(fused, Sheet) else 0
        if isinstance(fused, Sheet) and fused not in kernels and max(fused.rows, fused.columns) == 3 * width:
            first, stop = _stretch(tensors, at, width, kernels)
            made = _resampler(tensors[first:stop], at - first, width, heads, side)
            if made is not None:
                found.append(made)
                at = stop
        at += 1
    return found


def _stretch(tensors: Sequence[Stored], at: int, width: int, kernels: Sequence[Sheet]) -> tuple[int, int]:
    """The neighbours, before and after, that share the dimension and belong to no convolution."""
    outside = set()
    for i, t in enumerate(tensors):
        for near in (i - 1, i + 1):
            if isinstance(t, Vector) and 0 <= near < len(tensors) and tensors[near] in kernels:
                outside.add(i)

    def inside(i: int) -> bool:
        t = tensors[i]
        if i in outside or t in kernels or abs(t.place - tensors[at].place) != abs(i - at):
            return False
        sides = (t.length,) if isinstance(t, Vector) else (t.rows, t.columns)
        return width in sides or 3 * width in sides or hidden(i)

    def hidden(i: int) -> bool:
        """Whether it is a vector as long as the other side of a matrix beside it, as a hidden bias."""
        t = tensors[i]
        near = tensors[max(0, i - 1) : i + 2]
        sides = [{s.rows, s.columns} for s in near if isinstance(s, Sheet)]
        return isinstance(t, Vector) and {t.length, width} in sides

    first, stop = at, at + 1
    while first > 0 and inside(first - 1):
        first -= 1
    while stop < len(tensors) and inside(stop):
        stop += 1
    return first, stop


def _resampler(own: Sequence[Stored], at: int, width: int, heads: Heads, side: int) -> Resampler | None:
    squares = [i for i, t in enumerate(own) if isinstance(t, Sheet) and t.rows == t.columns == width]
    if not squares:
        return None
    owner = _biases(own, side, heads)
    after = [i for i in squares if i > at and i in owner] or [i for i in squares if i > at] or squares
    fused, o = own[at], own[after[0]]
    assert isinstance(fused, Sheet)
    assert isinstance(o, Sheet)
    whole = Piece(View(fused.view.name, turned=fused.columns > fused.rows), 3 * width, width, 0)
    q, k, v = parts_of(whole, width, width, 0)
    view = View(o.view.name, turned=whole.view.turned)
    candidates, _ = sizes(width, width, {})
    size, clear = best_size(heads, candidates, [(q, k)], [(view, v)])
    biases = tuple(_bias(own, owner, n, x) for n, x in ((at, q), (at, k), (at, v), (after[0], view)))
    attention = Attention(q, k, v, view, width // size, width // size, size, "none", biases, cross=True)  # type: ignore[arg-type]
    norms, used = _norms(own, width, owner, heads)
    mlps = tuple(_mlps(own, width, owner))
    label = f"{width}.resampler"
    block = Block(f"{label}.0", attention, mlps, norms=norms)
    taken = {at, after[0], owner.get(at), owner.get(after[0]), *used}
    views = {v.name for m in mlps for v in (m.up, m.down, m.up_bias, m.down_bias) if v}
    other = tuple(View(_name(t)) for i, t in enumerate(own) if i not in taken and _name(t) not in views)
    doubts = [] if clear else ["head size"]
    doubts += ["v and o"] if len(after) > 1 and after[0] not in owner else []
    tower = Tower(label, "resampler", width, (block,), other=other)
    return Resampler(tower, frozenset(map(_name, own)), tuple(f"{label}.0: {d}" for d in doubts))


def _name(tensor: Stored) -> str:
    return tensor.name if isinstance(tensor, Vector) else tensor.view.name


def _biases(own: Sequence[Stored], side: int, heads: Heads) -> dict[int, int]:
    """Biases by the place of their owner."""
    gains = {i for i, t in enumerate(own) if isinstance(t, Vector) and is_gain(heads.reader, t.name)}
    found = {m: v for v, m in beside(own, side).items() if v not in gains}
    for g in gains:
        near = own[g - side] if 0 <= g - side < len(own) else None
        if isinstance(near, Vector) and g - side not in gains:
            found[g] = g - side
    return found


def _bias(own: Sequence[Stored], owner: Mapping[int, int], place: int, view: View) -> View | None:
    if place not in owner:
        return None
    return View(_name(own[owner[place]]), view.start, view.stop)


def _norms(
    own: Sequence[Stored], width: int, owner: Mapping[int, int], heads: Heads
) -> tuple[tuple[Norm, ...], set[int]]:
    norms, used = [], set()
    for i, t in enumerate(own):
        if (
            isinstance(t, Vector)
            and t.length == width
            and i not in owner.values()
            and is_gain(heads.reader, t.name)
        ):
            bias = View(_name(own[owner[i]])) if i in owner else None
            norms.append(Norm(View(t.name), bias, "layer" if bias else "rms"))
            used |= {i, owner.get(i, i)}
    return tuple(norms), used


def _mlps(own: Sequence[Stored], width: int, owner: Mapping[int, int]) -> list[Mlp]:
    """An MLP beside the attention: one matrix out of the stream, and its counterpart back."""
    sheets = [(i, t) for i, t in enumerate(own) if isinstance(t, Sheet)]
    for i, up in sheets:
        for j, down in sheets:
            shape = up.rows, up.columns
            if (down.columns, down.rows) == shape and up.columns == width != up.rows and up.rows != 3 * width:
                biases = [View(_name(own[owner[x]])) if x in owner else None for x in (i, j)]
                return [Mlp(up.view, down.view, None, biases[0], biases[1])]
    return []
