"""What a release of the lab is made of: from it the release is made, and the truth is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from apograph.findings import Json

Inherits = Literal["weights", "part", "shown"]


@dataclass(frozen=True, slots=True)
class Parent:
    """ "weights": the release holds this one's weights, changed or not; "part": only the tensors whose names
    fit ``pattern``; "shown": it was made in view of this one and holds none of its weights (a teacher, the
    target of framing)."""

    name: str
    inherits: Inherits = "weights"
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One manipulation of ``lab.derive`` and its parameters."""

    name: str
    params: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One release. ``group`` names what it serves for ("null", "noise", "framed", ...).

    Trained from a start: ``family``, ``seed`` and ``course`` (fields of ``train.Course``); parents are then
    tensors that were given and frozen, or a teacher. Derived: ``steps``, applied in order to the first
    parent; ``seed`` then drives what the steps draw.
    """

    name: str
    group: str
    seed: int
    family: str = ""
    course: Mapping[str, Json] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def trained(self) -> bool:
        """Whether it was trained from a start of its own."""
        return not self.steps
