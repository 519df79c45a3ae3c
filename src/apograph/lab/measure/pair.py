"""Two releases to be examined, and what they are examined with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of releases; ``group`` is what the pair serves for, ``bases`` and ``claimed`` are given too."""

    reference: str
    candidate: str
    group: str
    bases: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """One line that no other pair has."""
        return " ".join([self.reference, self.candidate, *self.bases, "-", *self.claimed])
