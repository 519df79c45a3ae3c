"""One release made from others: every manipulation by name, each in the file of its kind.

A manipulation is a function of a ``Work`` that changes its model in place of making a new one: it replaces
``work.model``, notes true maps and facts. ``derive`` applies a recipe's steps in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Json
from apograph.lab.model import Model, save
from apograph.lab.recipes import Recipe

FILES = ("symmetry", "basis", "values", "shape", "mixed", "trained", "stored")
"""The modules of this package; each has ``MANIPULATIONS``, by name."""


class Work:
    """A model while it is being changed.

    ``maps`` say where each part of the child comes from, by key: ``units.LAYER`` (hidden units),
    ``heads.LAYER`` (key/value groups), ``queries.LAYER`` (query heads), ``channels`` (residual), ``layers``,
    ``tokens``: for each place of the child the parent's place (-1: new); and ``sign.KEY``: +1 or -1 for each
    place of the child. ``facts`` go into the
    manifest. ``stored`` are changes of how the finished model is stored, ``write`` how its folder is written.
    """

    def __init__(self, parents: Sequence[Model], seed: int) -> None:
        self.parents = tuple(parents)
        self.model = parents[0]
        self.random = np.random.default_rng([20261122, seed])
        self.maps: dict[str, NDArray[np.int64]] = {}
        self.facts: dict[str, Json] = {}
        self.stored: list[Callable[[Model], Model]] = []
        self.write: Callable[[Model, Path], None] = save

    def moved(self, key: str, order: NDArray[np.int64]) -> None:
        """Place i of a map now holds what place ``order[i]`` held before this step."""
        before = self.maps.get(key)
        self.maps[key] = order if before is None else np.where(order >= 0, before[order], -1)
        if f"sign.{key}" in self.maps:
            self.maps[f"sign.{key}"] = self.maps[f"sign.{key}"][order]

    def flipped(self, key: str, signs: NDArray[np.float64]) -> None:
        """Place i was multiplied by ``signs[i]``."""
        before = self.maps.get(f"sign.{key}", np.ones(len(signs), np.int64))
        self.maps[f"sign.{key}"] = before * signs.astype(np.int64)

    def layers_moved(self, order: NDArray[np.int64]) -> None:
        """Layer i is now what layer ``order[i]`` was; maps of layers go with them."""
        kept = {
            k: m
            for k, m in self.maps.items()
            if not k.removeprefix("sign.").startswith(("units.", "heads.", "queries."))
        }
        for key, value in self.maps.items():
            stem, _, layer = key.rpartition(".")
            if key not in kept:
                kept |= {f"{stem}.{i}": value for i in np.flatnonzero(order == int(layer))}
        self.maps = kept
        self.moved("layers", order)


Manipulation: TypeAlias = Callable[..., None]
"""Called with the work and the parameters of the step, by name."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A finished derivation; ``facts`` holds "logits_change" where every step is lossless."""

    model: Model
    write: Callable[[Model, Path], None]
    maps: Mapping[str, NDArray[np.int64]]
    facts: Mapping[str, Json]


def manipulation(name: str) -> Manipulation:
    """The function of a manipulation. Raises KeyError for an unknown one."""
    for file in FILES:
        known = import_module(f"apograph.lab.derive.{file}").MANIPULATIONS
        if name in known:
            found: Manipulation = known[name]
            return found
    raise KeyError(name)


def derive(parents: Sequence[Model], recipe: Recipe) -> Derived:
    """Apply the steps of ``recipe`` to its first parent."""
    from apograph.lab.derive.symmetry import LOSSLESS
    from apograph.lab.lossless import logits_change

    work = Work(parents, recipe.seed)
    whole = True
    for step in recipe.steps:
        manipulation(step.name)(work, **step.params)
        whole &= step.name in LOSSLESS
    if whole:
        work.facts["logits_change"] = logits_change(parents[0], work.model, work.maps.get("tokens"))
    for change in work.stored:
        work.model = change(work.model)
    return Derived(work.model, work.write, work.maps, work.facts)


def copied(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays that may be changed."""
    return {name: array.copy() for name, array in weights.items()}
