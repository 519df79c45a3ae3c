"""Simulated answers under a known truth, to measure error rates and power of the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Column, Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray


def simulate(
    rng: np.random.Generator,
    items: int,
    abilities: Sequence[float],
    *,
    options: int = 4,
    sharpen: float = 0.0,
) -> Sheet:
    """Unrelated models of the given abilities (logits) on items of difficulty N(0, 1.5²).

    A wrong answer to an item is one of ``options - 1``, drawn with the item's own popularities, a Dirichlet
    with concentration 1. With ``sharpen`` > 0 the popularities are raised to the power 1 + sharpen·ability:
    able models err alike.
    """
    difficulty = rng.normal(0.0, 1.5, items)
    shares = rng.dirichlet(np.ones(options - 1), items)
    columns = []
    for j, ability in enumerate(abilities):
        right = rng.random(items) < 1.0 / (1.0 + np.exp(difficulty - ability))
        own = shares ** max(1.0 + sharpen * ability, 0.1)
        steps = np.cumsum(own / own.sum(axis=1, keepdims=True), axis=1)
        wrong = 1 + np.minimum((rng.random(items)[:, None] > steps).sum(axis=1), options - 2)
        columns.append(Column(f"model {j}", "", "", np.where(right, 0, wrong).astype(np.int32)))
    return Sheet(
        "choice",
        tuple(map(str, range(items))),
        tuple(columns),
        np.zeros(items, np.int32),
        np.full(items, options, np.int16),
        tuple(map(str, range(options))),
    )


def copied(rng: np.random.Generator, sheet: Sheet, source: int, copy: int, rate: float) -> Sheet:
    """``sheet`` in which model ``copy`` repeats the answer of ``source`` on a random share of the items."""
    codes: NDArray[Any] = np.where(
        rng.random(len(sheet.items)) < rate, sheet.columns[source].codes, sheet.columns[copy].codes
    )
    columns = list(sheet.columns)
    columns[copy] = replace(columns[copy], codes=codes)
    return replace(sheet, columns=tuple(columns))
