"""What an examiner is, what it is given, and how the examiners are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from apograph.findings import Finding, Json, Side, Unexamined
from apograph.release.types import Release
from apograph.release.witness import Witness


class Part(Flag):
    """What both releases must have for an examiner to be run; what is absent is reported as not examined."""

    NOTHING = 0
    FILES = auto()
    CONFIG = auto()
    TENSORS = auto()
    TOKENIZER = auto()
    CODE = auto()
    HISTORY = auto()
    CARD = auto()


@dataclass(frozen=True, slots=True)
class Case:
    """Everything an examiner may look at. ``bases`` are known common ancestors, ``claimed`` the sources that
    the candidate names; both explain away what they contain. ``claims`` are statements to be judged."""

    reference: Release
    candidate: Release
    bases: tuple[Release, ...] = ()
    claimed: tuple[Release, ...] = ()
    panel: tuple[Release, ...] = ()
    claims: tuple[dict[str, Json], ...] = ()
    answers: Any = None
    logits: Any = None
    """Logit vectors of the candidate (``evidence.logits.Vectors``)."""
    witnesses: tuple[Witness, ...] = ()
    published: Mapping[Side, int] = field(default_factory=dict)
    """When a side could first be had (seconds since 1970 UTC), as the user states it."""
    shared: dict[str, Any] = field(default_factory=dict, compare=False)
    """What one examiner computed and another needs, by a documented key (renaming rules, code map)."""

    @property
    def each_way(self) -> tuple[tuple[Side, Release, Release], ...]:
        """For what looks at one side in the light of the other: the side's name, its release, the other's."""
        return (
            ("candidate", self.candidate, self.reference),
            ("reference", self.reference, self.candidate),
        )


Examination = Callable[[Case], Iterator[Finding | Unexamined]]


@dataclass(frozen=True, slots=True)
class Examiner:
    """A registered examiner: ``channel`` groups findings in the report and for ``--only``."""

    name: str
    channel: str
    needs: Part
    run: Examination


_registered: dict[str, Examiner] = {}


def examiner(channel: str, *, needs: Part = Part.NOTHING) -> Callable[[Examination], Examination]:
    """Register the decorated function as an examiner of ``channel``."""

    def register(function: Examination) -> Examination:
        name = f"{channel}.{function.__name__}"
        _registered[name] = Examiner(name, channel, needs, function)
        return function

    return register


def all_examiners() -> tuple[Examiner, ...]:
    """Every examiner, ours in the order of ``evidence.MODULES``, then those of installed plug-ins."""
    from apograph.evidence import MODULES

    for module in MODULES:
        import_module(f"apograph.evidence.{module}")
    for point in entry_points(group="apograph.examiners"):
        point.load()
    # Whoever imported an examiner's module first must not decide the order.
    ours = {f"apograph.evidence.{module}": number for number, module in enumerate(MODULES)}
    return tuple(sorted(_registered.values(), key=lambda e: ours.get(e.run.__module__, len(ours))))
