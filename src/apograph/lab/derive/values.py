"""Changes of the values alone: noise, pruning, a planted fraction of another model."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.lab.derive import Manipulation, Work, copied
from apograph.release.perturbation import CHUNK, Noise, added


def noise(work: Work, sigma: str = "1/708", relative: bool = False, reseeded: bool = False) -> None:
    """Gaussian noise on every element: standard deviation ``sigma``, or ``sigma`` times each tensor's own.
    ``reseeded``: the generator begins anew with every tensor, as the published control's does."""
    weights = copied(work.model.weights)
    seed = int(work.random.integers(1 << 30))
    drawn = Noise(Fraction(1), seed, "per-tensor" if reseeded else "once")
    for n, (name, array) in enumerate(weights.items()):
        flat = drawn.normal(n, 0, array.size).reshape(array.shape)
        scale = Fraction(sigma) * (Fraction(float(array.std())) if relative else 1)
        if scale > 0:
            weights[name] = added(array, flat, scale.limit_denominator(CHUNK << 24))
    work.facts["sigma"] = sigma
    work.model = work.model.using(weights)


def pruned(work: Work, share: float = 0.5) -> None:
    """Of every matrix in a block the ``share`` of smallest elements set to zero."""
    weights = copied(work.model.weights)
    for name in in_blocks(weights):
        size = np.abs(weights[name])
        weights[name] = np.where(size < np.quantile(size, share), 0, weights[name]).astype(np.float32)
    work.model = work.model.using(weights)


def planted(work: Work, stride: int = 50) -> None:
    """Every ``stride``-th element of every matrix replaced by the other parent's: framing by a copy."""
    weights, other = copied(work.model.weights), work.parents[1].weights
    for name in in_blocks(weights):
        weights[name].reshape(-1)[::stride] = other[name].reshape(-1)[::stride]
    work.model = work.model.using(weights)


def in_blocks(weights: Mapping[str, NDArray[Any]]) -> list[str]:
    """The matrices of the blocks: neither embeddings nor heads nor vectors."""
    return [n for n, w in weights.items() if w.ndim == 2 and any(p.isdigit() for p in n.split("."))]


MANIPULATIONS: Mapping[str, Manipulation] = {"noise": noise, "pruned": pruned, "planted": planted}
