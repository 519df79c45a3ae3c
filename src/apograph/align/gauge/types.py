"""The recovered map as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge.axis import Axis
from apograph.align.roles import View

Family: TypeAlias = Literal["mlp", "vo", "qk"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Query heads, key/value heads, dimensions of a head."""

    heads: int
    groups: int
    size: int


Basis: TypeAlias = Literal["same", "permuted", "rotated"]


@dataclass(frozen=True, slots=True, eq=False)
class StreamMap:
    """The residual stream of one tower: ``axis`` carries the candidate's channels over.

    ``agreement`` is the mean cosine of rows of the tables (embeddings) that took no part in the fit, their
    common mean subtracted. ``rows`` is the candidate's row for each of the vocabulary's (-1: none), None
    where rows stand as they did. ``moved`` and ``flipped`` count channels, of ``width``; ``turn`` is the
    median angle, in degrees, by which a channel's direction was turned."""

    label: str
    basis: Basis
    axis: Axis
    width: int
    agreement: float
    rows: NDArray[np.int64] | None = None
    moved: int = 0
    flipped: int = 0
    turn: float = 0.0
    rows_moved: int = 0
    rows_lost: int = 0


@dataclass(frozen=True, slots=True)
class ModuleMap:
    """One module (layer and family) of the reference's and the candidate's.

    ``held`` is the median |cosine| of units in the matrix that took no part in finding the map (down, where
    gate and up were paired; o and q, where maps were fitted on v and k); ``chance`` the same for units that
    do not belong together. ``units`` of the reference's (for v/o and q/k: key/value heads), ``paired`` of
    them have a counterpart, ``moved`` stand elsewhere, ``flipped`` have another sign, ``scale`` is the
    range of factors. ``mixing``: how dimensions within a head were mixed; ``folded``: gains of norms
    were moved between them and the matrices; ``geometry`` the heads of either side."""

    family: Family
    label: str
    other: str
    held: float
    chance: float
    units: int
    paired: int
    moved: int
    flipped: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    mixing: Literal["none", "permuted", "scaled", "planes", "any"] = "none"
    folded: bool = False
    geometry: tuple[Geometry, Geometry] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A matrix of the reference's and the candidate's that answers it: ``out`` and ``into`` carry the rows
    and the columns over. ``module`` is its place in ``Gauge.modules``, None for tables of the stream."""

    reference: View
    candidate: View
    out: Axis
    into: Axis
    module: int | None = None
    stream: int = 0


@dataclass(frozen=True, slots=True)
class Gauge:
    """What was recovered. ``layers`` pairs the labels of blocks; ``left`` are the reference's blocks without
    a counterpart, ``spare`` the candidate's, ``late`` pairs for which no time was left."""

    streams: tuple[StreamMap, ...]
    modules: tuple[ModuleMap, ...]
    pieces: tuple[Piece, ...]
    layers: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    late: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
