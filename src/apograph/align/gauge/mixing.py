"""How the dimensions of one head were mixed: the simplest map that explains both of its matrices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["none", "permuted", "scaled", "planes", "any"]
KINDS: tuple[Kind, ...] = ("none", "permuted", "scaled", "planes", "any")
"""The simplest first."""
TOLERANCE = 1.5
"""A simpler map is taken when what it leaves is at most that many times what any map leaves."""
ROUNDING = 1e-9
"""Relative square of a difference that is only that of storage in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixing:
    """``matrix`` N [size, size] or [groups, size, size]: v' = N⁻¹ v, o' = o N; k' = N⁻¹ k, q' = Nᵀ q."""

    matrix: NDArray[np.float64]
    kind: Kind


def mixing_of(
    narrow: tuple[Floats, Floats], wide: tuple[Floats, Floats], rotary: str
) -> tuple[Mixing, NDArray[np.float64]]:
    """The map of one head (of one group of heads), and the one that ``narrow`` alone gives.

    ``narrow`` is (reference's, candidate's) v or k [size, width], ``wide`` oᵀ or q [size, more]. Minimises
    |narrow_b - N narrow_a|² + |Nᵀ wide_b - wide_a|² relative to their sizes (a Sylvester equation).
    """
    a, b = (m.astype(np.float64) for m in narrow)
    c, d = (m.astype(np.float64) for m in wide)
    size = len(a)
    own, cross, over, across = a @ a.T, b @ a.T, d @ d.T, d @ c.T
    tiny = 1e-12 * max(float(np.trace(own)), 1e-30) / size * np.eye(size)
    alone: NDArray[Any] = np.linalg.solve(own + tiny, cross.T).T
    long = float((b * b).sum()), float((c * c).sum())
    u, w = (1 / max(x, 1e-30) for x in long)
    whole = _sylvester(w * over, u * (own + tiny), u * cross + w * across)

    def left(n: NDArray[np.float64]) -> float:
        first = long[0] + float(((n @ own - 2 * cross) * n).sum())
        return u * first + w * (long[1] + float(((over @ n - 2 * across) * n).sum()))

    least = left(whole)
    for kind, n in _simpler(whole, rotary):
        if left(n) <= TOLERANCE * least + ROUNDING:
            return Mixing(n, kind), alone
    if np.linalg.cond(whole) > 1e6:
        return Mixing(np.eye(size), "none"), alone
    return Mixing(whole, "any"), alone


def _sylvester(a: Floats, b: Floats, q: Floats) -> NDArray[np.float64]:
    """X with a X + X b = q, of symmetric a and b whose eigenvalues add up to more than 0."""
    (x, left), (y, right) = np.linalg.eigh(a), np.linalg.eigh(b)
    inner = left.T @ q @ right / np.maximum(x[:, None] + y, 1e-300)
    return np.asarray(left @ inner @ right.T)


def _simpler(n: NDArray[np.float64], rotary: str) -> Iterator[tuple[Kind, NDArray[np.float64]]]:
    """Maps near ``n``, the simplest first."""
    size = len(n)
    yield "none", np.eye(size)
    yield "none", np.diag(np.where(np.diag(n) < 0, -1.0, 1.0))
    best = np.abs(n).argmax(axis=0)
    if len(set(best.tolist())) == size:
        places = np.zeros((size, size))
        factors = n[best, np.arange(size)]
        places[best, np.arange(size)] = np.where(factors < 0, -1.0, 1.0)
        yield "permuted", places
        scaled = np.zeros((size, size))
        scaled[best, np.arange(size)] = np.where(factors == 0, 1.0, factors)
        yield "scaled", scaled
    if rotary != "none" and size % 2 == 0:
        half = np.arange(size // 2)
        if rotary in ("half", "unknown"):
            yield "planes", _planes(n, half, half + size // 2)
        if rotary in ("pairs", "unknown"):
            yield "planes", _planes(n, 2 * half, 2 * half + 1)


def _planes(n: NDArray[np.float64], one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.float64]:
    """The nearest map that turns and scales each plane (one, two) by itself."""
    turned = np.zeros_like(n)
    cos, sin = (n[one, one] + n[two, two]) / 2, (n[two, one] - n[one, two]) / 2
    turned[one, one] = turned[two, two] = cos
    turned[two, one], turned[one, two] = sin, -sin
    return turned
