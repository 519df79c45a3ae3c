"""What is known of the release that a claim speaks of, and what a judgement of a claim is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from apograph.align.fit import Fit, fit, numbered
from apograph.evidence.own_code import config_path, read_code, side_of
from apograph.evidence.registry import Case
from apograph.findings import Json, Location, Message, Param, Side
from apograph.release.types import Release

Outcome = Literal["supported", "contradicted", "unchecked"]
IMAGE = re.compile(
    r"vis|vpm|vit\b|image|clip|siglip|tower|resampl|project|perceiv|q_?former|connector|abstractor|mm_"
)
"""Names of parts on the image path."""
VISION = re.compile(r"vis|vpm|vit\b|image|clip|siglip|tower")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``outcome`` with the ``reason`` in words and the places that decide it."""

    outcome: Outcome
    reason: Message
    locations: tuple[Location, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A number that the release states: where, and under which name."""

    value: int
    path: str
    name: str


class Facts:
    """One side of a case, with its code as read statically."""

    def __init__(self, case: Case, side: Side) -> None:
        self.case, self.side = case, side
        self.release: Release = side_of(case, side)
        self.code: dict[str, Any] | None = read_code(case, self.release, side)[0]

    def place(self, path: str, line: int | None = None) -> Location:
        """A location in this side's revision."""
        return Location(self.side, path, self.release.revision, line or None, line or None)

    def unchecked(self, reason: str, **params: Param) -> Verdict:
        """Not checkable, and why."""
        return Verdict("unchecked", Message(f"claims.reason.{reason}", params))

    def configured(self, keys: Iterable[str], part: str) -> Iterator[Number]:
        """Whole numbers of the configuration under these keys; ``part`` is "", "language" or "vision"."""
        path = config_path(self.release)
        for place, config in self._configurations(self.release.config):
            vision = bool(VISION.search(place))
            if (part == "vision") != vision and part:
                continue
            for key in keys:
                value = config.get(key)
                if isinstance(value, int) and not isinstance(value, bool):
                    yield Number(value, path, f"{place}{key}")

    @staticmethod
    def _configurations(config: Any) -> Iterator[tuple[str, dict[str, Json]]]:
        yield "", dict(config)
        for key, value in config.items():
            if isinstance(value, dict) and key.endswith("_config"):
                yield f"{key}.", value

    def lists(self, part: str) -> Iterator[Number]:
        """Numbers of layers that the checkpoint stores."""
        tensors = self.release.tensors
        if tensors is None:
            return
        for prefix, count in numbered({e.name: None for e in tensors.entries}).items():
            if not part or (part == "vision") == bool(VISION.search(prefix.lower())):
                yield Number(count, tensors.path, prefix.rstrip("."))

    def own_fit(self) -> Fit | None:
        """How far the release's own code fits its checkpoint; None when one of them is lacking."""
        model = self.code["model"] if self.code else None
        if not model or model["tensors"] is None or self.release.tensors is None:
            return None
        return fit(model, self.release.tensors)

    def judged(self, value: int, found: Iterable[Number]) -> Verdict:
        """Supported when a stated number is the claimed one, contradicted when there are only others."""
        numbers = list(dict.fromkeys(found))
        if not numbers:
            return self.unchecked("nothing")
        equal = [n for n in numbers if n.value == value]
        shown = equal or numbers
        seen = ", ".join(f"{n.name} = {n.value}" for n in shown[:6])
        return Verdict(
            "supported" if equal else "contradicted",
            Message("claims.reason.stated", {"seen": seen}),
            tuple(self.place(p) for p in dict.fromkeys(n.path for n in shown[:6])),
        )
