"""How one tensor was made from the other: a class for every matched pair."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.tensors import Match
from apograph.evidence.casts import cast_between
from apograph.evidence.computed_tables import computed_table, table_rows
from apograph.evidence.grids import Grid, grid_of, rounds_to
from apograph.evidence.moments import Moments, values_of
from apograph.evidence.rounding import FLOATS, Noise, float_type, noise_between
from apograph.evidence.rounding_side import source_of_product
from apograph.evidence.samples import sampled_rows
from apograph.evidence.spectra import EDGE, spectrum
from apograph.evidence.starts import CHANCE, alike_by_start
from apograph.evidence.stream import stored
from apograph.findings import SIDES, Side
from apograph.release.tensor_store import TensorStore

Kind: TypeAlias = Literal[
    "identical",
    "cast",
    "quantised",
    "pruned",
    "noise",
    "low_rank",
    "fine_tuned",
    "merged",
    "correlated",
    "unrelated",
    "constant",
    "vector",
]
RELATED: tuple[Kind, ...] = (
    *("identical", "cast", "quantised", "pruned", "noise", "low_rank", "fine_tuned", "merged"),
)
FINE_TUNED = 0.9
"""Correlation from which an unexplained change of a matrix is called fine-tuning."""
SIDE = 16
"""A tensor with a smaller side is no matrix: too little to tell how it was changed, or whether at all."""
_COMPUTED = re.compile(r"position|rotary|inv_freq|mask|buffer", re.IGNORECASE)
_INTEGER = re.compile("[IU][0-9]+$|BOOL$")
_KEPT_EQUAL = 0.99
_KURTOSIS = 0.05
_PRUNED, _STRAY = 0.01, 0.1
_KEPT = 8192


@dataclass(frozen=True, slots=True)
class Transformation:
    """``source`` is the side that this pair alone shows to have come first: the other is exactly what the
    class makes of it (noise needs several: ``noise_law.clean_side``). ``sigma`` with its 95 % interval
    for noise, the root mean square of the difference otherwise; ``share`` of the elements looked at from
    which it comes; ``rank``, ``grid`` and ``zeros`` (share of zeros made) where the class has them. ``edge``
    is the largest singular value over that of white noise. ``head`` keeps the first differences of noise.
    ``exact`` says that what lies on a grid or has zeros may be the other's very values, rounded or cut;
    ``table`` that the reference's values are such as software computes (``computed_tables``); ``turned`` that
    one side's were computed by a map between two bases (``evidence.gauge``): any change looks normal then.
    ``parts`` of a merge (``merge_classes``): names of releases, the other side among them, and coefficients,
    which add up to 1."""

    match: Match
    moments: Moments
    kind: Kind
    matrix: bool
    source: Side | None = None
    correlation: float | None = None
    sigma: float = 0.0
    interval: tuple[float, float] | None = None
    n: int = 0
    share: float = 1.0
    edge: float | None = None
    rank: int | None = None
    grid: Grid | None = None
    zeros: float | None = None
    into: str | None = None
    head: NDArray[np.float32] | None = None
    table: bool = False
    exact: bool = False
    turned: bool = False
    parts: tuple[tuple[str, float], ...] = ()

    @property
    def computed(self) -> bool:
        """Whether it is a table that software computes, equal in models that have nothing to do with each
        other: by content (``table``), or the names of *both* sides say so. One side's alone would let who
        renames a copy hide it."""
        names = self.match.reference.name, self.match.candidate.name
        return self.table or all(_COMPUTED.search(name) for name in names)


def transformation(
    match: Match, moments: Moments, reference: TensorStore, candidate: TensorStore
) -> Transformation:
    """The class of one pair. ``moments`` come from every element; where these show a relation, a bounded
    sample of whole rows is read again, and for a cast all of it. Raises Refusal as the stores do."""
    told = _Pair(match, moments, reference, candidate).told()
    if not told.matrix or told.kind in ("constant", "unrelated"):
        return told
    return replace(told, table=computed_table(table_rows(reference, match.reference)))


class _Pair:
    def __init__(
        self, match: Match, moments: Moments, reference: TensorStore, candidate: TensorStore
    ) -> None:
        self.match, self.m, self.stores = match, moments, (reference, candidate)
        names = match.reference.name, match.candidate.name
        self.dtypes = [store.dtype(name) for store, name in zip(self.stores, names, strict=True)]
        bits = moments.bits_a, moments.bits_b
        self.types = [float_type(d, b, moments.n) for d, b in zip(self.dtypes, bits, strict=True)]
        shape = reference.infos[names[0]].shape or (0,)
        side = min(shape[0], moments.n // max(shape[0], 1))
        self.matrix = side >= SIDE and not _INTEGER.match(self.dtypes[0])
        self.r = moments.correlation

    def told(self) -> Transformation:
        """The first class whose rule holds. Raises Refusal as the stores do."""
        m = self.m
        if m.n == 0 or m.equal == m.n:
            return self._of("identical" if m.n else "constant")
        if self.r is None:
            return self._of("constant")
        if (cast := cast_between(self.types, self.dtypes, m.n, self._values)) is not None:
            coarse, side = cast
            return self._of("cast", source=side, into=coarse.name)
        if not self.matrix:
            return self._of("vector")
        if abs(self.r) <= CHANCE / math.sqrt(m.used):
            return self._of("unrelated")
        a, b = sampled_rows(self.match, *self.stores)
        if alike_by_start(a, b):
            return self._of("unrelated")
        return self._grid(a, b) or self._pruned(a, b) or self._difference(a, b)

    def _of(self, kind: Kind, **more: Any) -> Transformation:
        more.setdefault("sigma", self.m.sigma)
        more.setdefault("n", self.m.used)
        return Transformation(self.match, self.m, kind, self.matrix, correlation=self.r, **more)

    def _values(self, start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        a = values_of(stored(self.stores[0], self.match.reference, start, stop)).astype(np.float64)
        if not self.match.transposed:
            return a, values_of(stored(self.stores[1], self.match.candidate, start, stop)).astype(np.float64)
        name = self.match.candidate.name
        whole = self.stores[1].block(name, 0, self.m.n).reshape(self.stores[1].infos[name].shape or ())
        return a, whole.T.reshape(-1)[start:stop].astype(np.float64)

    def _grid(self, a: NDArray[Any], b: NDArray[Any]) -> Transformation | None:
        """Quantised: one side on a grid that the other is not on. The other is the source if it is itself no
        quantised one and these are its values, each rounded to the nearest level; else both may come from a
        third."""
        grids = [grid_of(v) for v in (a, b)]
        if (grids[0] is None) == (grids[1] is None) or abs(self.r or 0) <= 0.5:
            return None
        fine = 1 if grids[0] is not None else 0
        grid, own = grids[1 - fine], self.types[fine]
        assert grid is not None
        lossless = own is None or own.bits >= FLOATS["F32"].bits
        rounds = rounds_to((a, b)[fine], (a, b)[1 - fine], grid, None if lossless else own)
        source = SIDES[fine] if rounds == "yes" and own is not None else None
        return self._of("quantised", source=source, grid=grid, exact=rounds != "no")

    def _pruned(self, a: NDArray[Any], b: NDArray[Any]) -> Transformation | None:
        """Exact zeros on one side only, and what is left nearly as it was. Of two that were each pruned or
        rounded on their own, each has zeros that the other has not. The other is the source if it has next to
        no zeros itself, and what is left is exactly its values, or their rounding."""
        own = self.m.zero_a - self.m.zero_both, self.m.zero_b - self.m.zero_both
        if min(own) > _STRAY * max(own):
            return None
        for fine, x, y, zeros in ((0, a, b, own[1]), (1, b, a, own[0])):
            kept = y != 0
            if zeros < _PRUNED * self.m.n or np.count_nonzero(kept) < 100:
                continue
            same = np.corrcoef(x[kept], y[kept])[0, 1]
            if same > FINE_TUNED:
                into = self.types[1 - fine] or FLOATS["F32"]
                equal = np.mean(into.nearest(x[kept].astype(np.float64)) == y[kept]) >= _KEPT_EQUAL
                source = SIDES[fine] if equal and self.m.zero_both <= _STRAY * zeros else None
                return self._of("pruned", source=source, zeros=zeros / self.m.n, exact=bool(equal))
        return None

    def _difference(self, a: NDArray[Any], b: NDArray[Any]) -> Transformation:
        coarser = min((t for t in self.types if t is not None), key=lambda t: t.bits, default=FLOATS["F32"])
        slopes = abs((self.m.slope or 0) - 1), abs((self.m.slope_back or 0) - 1)
        parent, child = (a, b) if slopes[0] <= slopes[1] else (b, a)
        d = child.astype(np.float64) - parent
        units = [
            t.ulp(v.astype(np.float64)) for t, v in zip(self.types, (a, b), strict=True) if t is not None
        ]
        shape = spectrum(d, sum(float(np.mean(u * u)) for u in units) / 12)
        if shape.rank is not None:
            source = source_of_product(a, b, shape.rank, *self.types)
            return self._of("low_rank", source=source, rank=shape.rank, edge=shape.edge)
        noise = noise_between(parent, child, coarser)
        if noise is not None:
            edge = spectrum(np.where(noise.used, d, 0.0), 0.0).edge
            if _is_white(noise, edge, min(d.shape)):
                return self._noise(noise, edge)
        kind: Kind = "fine_tuned" if (self.r or 0) >= FINE_TUNED else "correlated"
        return self._of(kind, edge=shape.edge)

    def _noise(self, noise: Noise, edge: float) -> Transformation:
        x, y = self._values(0, min(self.m.n, _KEPT))
        return self._of(
            "noise",
            sigma=noise.sigma,
            interval=(noise.low, noise.high),
            n=noise.n,
            share=noise.share,
            edge=edge,
            head=(y - x).astype(np.float32),
        )


def _is_white(noise: Noise, edge: float, side: int) -> bool:
    """Slope 1 and the law and spectrum of independent normal noise, within sampling. The largest singular
    value of small matrices spreads by about side^(-2/3) (Tracy and Widom)."""
    return (
        abs(noise.slope - 1) <= 4 * noise.slope_error
        and abs(noise.excess_kurtosis) <= _KURTOSIS + 4 * math.sqrt(24 / noise.n)
        and edge <= max(EDGE, 1 + 2 * side ** (-2 / 3))
    )
