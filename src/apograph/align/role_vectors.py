"""Vectors: which are gains of norms, and whose biases the others are.

A gain has a mean far from zero, a bias has not. Whose bias a vector is, is told by the neighbour in the
checkpoint, if most biases have a neighbour of their length on the same side; else, for the biases of hidden
units, by content. Biases of equal lengths in a shuffled checkpoint are not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apograph.align.role_match import correlation, pairing
from apograph.align.role_sheets import Reader, Vector
from apograph.align.role_views import read
from apograph.align.roles import View
from apograph.release.tensor_store import TensorStore

TRUSTED = 0.75
"""Share of the biases that must have their owner beside them."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """``gains`` by length, in order; ``biases`` those that are none; ``owner`` maps a stored tensor's name to
    its bias, where the order tells it (``ordered``)."""

    gains: dict[int, list[Vector]]
    biases: tuple[Vector, ...]
    owner: dict[str, str]
    ordered: bool


def sort_vectors(vectors: Sequence[Vector], store: TensorStore, reader: Reader) -> Vectors:
    """Gains apart from biases, and the owners of the biases by the order in the checkpoint."""
    gains: dict[int, list[Vector]] = {}
    biases = []
    for v in vectors:
        if is_gain(reader, v.name):
            gains.setdefault(v.length, []).append(v)
        else:
            biases.append(v)
    best: dict[str, str] = {}
    names = list(store.infos)
    bias_names = {v.name for v in biases}
    for side in (-1, 1):
        owner = {}
        for v in biases:
            at = v.place + side
            if 0 <= at < len(names) and names[at] not in bias_names and v.length in _outs(store, names[at]):
                owner[names[at]] = v.name
        if len(owner) > len(best):
            best = owner
    ordered = bool(biases) and len(best) >= TRUSTED * len(biases)
    return Vectors(gains, tuple(biases), best if ordered else {}, ordered)


def is_gain(reader: Reader, name: str) -> bool:
    """Whether the mean is beyond the spread: gains stay near one, biases around zero."""
    values = reader.vector(View(name))
    return bool(abs(values.mean()) > max(values.std(), 0.02))


def _outs(store: TensorStore, name: str) -> tuple[int, ...]:
    """Lengths that a bias of this tensor can have."""
    shape = store.infos[name].shape or ()
    return (shape[0], shape[-1]) if shape else ()


def hidden_biases(
    biases: Sequence[Vector], ups: Sequence[View], reader: Reader
) -> list[tuple[Vector, View, bool]]:
    """Biases of up projections by content: they go with the lengths of rows, or their share of the mean."""
    shares = {}
    for up in ups:
        matrix = read(reader.store, up)
        shares[up] = np.log(np.linalg.norm(matrix, axis=1) + 1e-30), matrix @ matrix.mean(axis=0)

    def score(bias: Vector, up: View) -> float:
        values = reader.vector(View(bias.name))
        return max(abs(correlation(values, s.astype(np.float64))) for s in shares[up])

    return pairing(biases, ups, score)
