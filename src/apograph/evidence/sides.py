"""The weights of a case's two sides, opened once for all examiners, and the roles of their tensors."""

from __future__ import annotations

import weakref
from functools import cached_property

from apograph.align.gauge.named import named_roles
from apograph.align.role_graph import find_roles
from apograph.align.roles import Roles
from apograph.evidence.registry import Case
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release

KEY = "weights.sides"
"""Key of ``Case.shared``: the pair (``Weights`` of the reference, of the candidate)."""


class Weights:
    """One side. Its files stay open until ``close``, or until nobody has this object any more."""

    def __init__(self, release: Release) -> None:
        self.release = release

    @cached_property
    def store(self) -> TensorStore:
        """Opened when it is first asked for. Raises Refusal as ``open_store`` does."""
        store = open_store(self.release)
        weakref.finalize(self, store.close)
        return store

    @cached_property
    def named(self) -> Roles:
        """Roles as names tell them."""
        return named_roles(self.store, self.release.config)

    @cached_property
    def found(self) -> Roles:
        """Roles from content; it takes a reading of every matrix."""
        return find_roles(self.store, self.release.config)

    @property
    def roles(self) -> Roles:
        """By names where these are known, else from content."""
        return self.named if self.named.towers else self.found


def sides(case: Case) -> tuple[Weights, Weights]:
    """The two sides of a case."""
    found: tuple[Weights, Weights] | None = case.shared.get(KEY)
    own = case.reference, case.candidate
    if found is None or any(w.release is not r for w, r in zip(found, own, strict=True)):
        found = case.shared[KEY] = Weights(case.reference), Weights(case.candidate)
    return found


def stores_of(both: tuple[Weights, Weights]) -> tuple[TensorStore, TensorStore]:
    """Both stores. Raises Refusal as ``open_store`` does."""
    return both[0].store, both[1].store


def roles_of(both: tuple[Weights, Weights]) -> tuple[Roles, Roles]:
    """Both sides' roles: by their names where both use names that are known, else from content."""
    if all(side.named.towers for side in both):
        return both[0].named, both[1].named
    return both[0].found, both[1].found


def close(case: Case) -> None:
    """Close the files of both sides; the next who asks opens them again."""
    for side in case.shared.pop(KEY, ()):
        if "store" in vars(side):
            side.store.close()
