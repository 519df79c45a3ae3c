"""What part each tensor of a checkpoint plays: the role graph, from shapes and content.

A matrix is always seen as [out, in]: ``View`` says where its rows lie in the stored tensor, whatever was
fused, interleaved or turned. Names play no part in any of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class View:
    """Rows of a stored tensor, seen as a matrix [out, in] (or as a vector [out]).

    Rows [start, stop) along the output axis, which is axis 0, or axis 1 where ``turned`` (Conv1D storage
    [in, out]). With ``period`` only the first ``width`` rows of every ``period`` rows, counted from
    ``start`` (projections interleaved head by head). ``stop`` None means to the last row. ``item`` picks one
    matrix of a stack (experts in one tensor [experts, ., .]); any other tensor of more than two axes is seen
    as [first axis, all the others], leading axes of length 1 left away.
    """

    name: str
    start: int = 0
    stop: int | None = None
    turned: bool = False
    period: int = 0
    width: int = 0
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Norm:
    """Gain and bias, if any, [width]. ``kind``: "layer" where it has a bias or subtracts the mean."""

    gain: View
    bias: View | None = None
    kind: Literal["rms", "layer"] = "rms"


@dataclass(frozen=True, slots=True)
class Mlp:
    """``gate`` is None for an ungated one. ``inner`` stands before ``down`` and spoils the sign coins."""

    up: View
    down: View
    gate: View | None = None
    up_bias: View | None = None
    down_bias: View | None = None
    gate_bias: View | None = None
    inner: Norm | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """``heads`` query heads share ``groups`` key/value heads of ``size`` dimensions. ``rotary``: "half" pairs
    dimension i with i + size/2, "pairs" 2i with 2i + 1, "none" has no rotary embedding, "unknown" is not
    told by shapes. ``cross``: keys and values are read from another stream (a resampler)."""

    q: View
    k: View
    v: View
    o: View
    heads: int
    groups: int
    size: int
    rotary: Literal["half", "pairs", "none", "unknown"] = "unknown"
    biases: tuple[View | None, View | None, View | None, View | None] = (None, None, None, None)
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    inner: Norm | None = None
    cross: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One layer. ``mlps`` holds one MLP, or the experts that ``router`` [experts, width] chooses from.
    ``before_attention`` and ``before_mlp`` are the norms whose output these read (None where shared or
    absent); ``norms`` are all norms over the residual width, these among them."""

    label: str
    attention: Attention | None
    mlps: tuple[Mlp, ...]
    router: View | None = None
    before_attention: Norm | None = None
    before_mlp: Norm | None = None
    norms: tuple[Norm, ...] = ()


Kind: TypeAlias = Literal["decoder", "encoder", "resampler", "other"]


@dataclass(frozen=True, slots=True)
class Tower:
    """A stack of blocks over one residual stream of ``width`` channels, in their order.

    ``embedding`` [vocabulary, width] and ``head`` [vocabulary, width] (the same view where tied);
    ``positions`` and ``other`` are further tables over the stream (patch projections, queries, projections
    into or out of it), ``last`` the norm after the last block."""

    label: str
    kind: Kind
    width: int
    blocks: tuple[Block, ...]
    embedding: View | None = None
    head: View | None = None
    positions: View | None = None
    last: Norm | None = None
    other: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class Roles:
    """The towers of a checkpoint; ``adapters`` are low-rank pairs (down, up) beside a matrix; ``left_over``
    names tensors whose role is not told, ``doubtful`` says of which labels a choice was arbitrary."""

    towers: tuple[Tower, ...]
    adapters: tuple[tuple[View, View], ...] = ()
    left_over: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
