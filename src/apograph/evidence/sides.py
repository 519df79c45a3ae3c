"""The weights of a case's two sides, opened once for all examiners, and the roles of their tensors."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import cached_property

from apograph.align.gauge.named import named_roles
from apograph.align.role_graph import find_roles
from apograph.align.roles import Roles
from apograph.evidence.registry import Case
from apograph.findings import Json
from apograph.release.lora_store import CONFIG, changed_by
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release

KEY = "weights.sides"
"""Key of ``Case.shared``: the pair (``Weights`` of the reference, of the candidate)."""


class Weights:
    """One side. Its files stay open until ``close``, or until nobody has this object any more.

    A LoRA adapter that was published alone is put on that of ``bases`` which has all weights it changes.
    """

    def __init__(self, release: Release, bases: tuple[Release, ...] = ()) -> None:
        self.release, self.bases = release, bases

    @cached_property
    def adapted(self) -> frozenset[str]:
        """Names of the weights of a base that this side, an adapter, changes; none of a whole checkpoint."""
        described = any(file.name == CONFIG for file in self.release.files)
        return changed_by(_names(self.release)) if described else frozenset()

    @cached_property
    def base(self) -> Release | None:
        """The base that the adapter was put on; None where none fits, and for a whole checkpoint."""
        return next((b for b in self.bases if self.adapted and self.adapted <= _names(b)), None)

    @property
    def releases(self) -> tuple[Release, ...]:
        """The releases whose files hold this side's weights."""
        return (self.release,) if self.base is None else (self.release, self.base)

    @property
    def config(self) -> Mapping[str, Json]:
        """The configuration of the whole model."""
        return self.releases[-1].config

    @cached_property
    def store(self) -> TensorStore:
        """Opened when it is first asked for. Raises Refusal as ``open_store`` does."""
        store = open_store(self.release, None if self.base is None else open_store(self.base))
        weakref.finalize(self, store.close)
        return store

    @cached_property
    def named(self) -> Roles:
        """Roles as names tell them."""
        return named_roles(self.store, self.config)

    @cached_property
    def found(self) -> Roles:
        """Roles from content; it takes a reading of every matrix."""
        return find_roles(self.store, self.config)

    @property
    def roles(self) -> Roles:
        """By names where these are known, else from content."""
        return self.named if self.named.towers else self.found


def sides(case: Case) -> tuple[Weights, Weights]:
    """The two sides of a case."""
    found: tuple[Weights, Weights] | None = case.shared.get(KEY)
    own = case.reference, case.candidate
    if found is None or any(
        w.release is not r or w.bases != case.bases for w, r in zip(found, own, strict=True)
    ):
        found = case.shared[KEY] = Weights(own[0], case.bases), Weights(own[1], case.bases)
    return found


def _names(release: Release) -> set[str]:
    return {entry.name for entry in release.tensors.entries} if release.tensors else set()


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
