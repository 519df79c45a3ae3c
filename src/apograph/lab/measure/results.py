"""The rows of a measurement with the truth beside them, and what is counted from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from apograph.lab.manifest import Manifest, Truth, truth
from apograph.lab.measure.judge import Verdict, direction, score, verdict
from apograph.lab.measure.rates import above, auc, threshold

RATE = 0.01
_NORM = re.compile(r"norm|ln_", re.IGNORECASE)
POSITIVE = ("identical", "copy or derivative", "merge")


@dataclass(frozen=True, slots=True)
class Result:
    """One measured pair. ``base``: one was given that both sides hold weights of."""

    row: Mapping[str, Any]
    truth: Truth
    base: bool

    @property
    def given(self) -> str:
        """ "yes" with such a base, "no" without any, else "a stranger"."""
        return "yes" if self.base else "a stranger" if self.row["bases"] else "no"

    @property
    def verdict(self) -> Verdict:
        """How the conclusion stands to the truth."""
        return verdict(self.row["relation"], self.truth, self.base)

    @property
    def direction(self) -> str:
        """How the direction that was given stands to the truth."""
        return direction(self.row, self.truth)

    @property
    def positive(self) -> bool:
        """One holds the other's weights, and no base was given that would take them out."""
        return self.truth.relation in POSITIVE and not self.row["bases"]

    @property
    def stranger(self) -> bool:
        """Neither has seen the other, nor its weights."""
        return self.truth.relation == "independent" and not self.truth.shown and not self.row["bases"]

    @property
    def half(self) -> int:
        """0 where all seeds named in the pair are even, 1 where all are odd, 2 otherwise."""
        seeds = re.findall(r"(?:seed|other|gpt2|bert|words|block|student)-(\d+)", self._names)
        halves = {int(s) % 2 for s in seeds}
        return halves.pop() if len(halves) == 1 else 2

    @property
    def _names(self) -> str:
        return f"{self.row['reference']} {self.row['candidate']}"


def results(manifest: Manifest, rows: Sequence[Mapping[str, Any]]) -> list[Result]:
    """Every row with its truth."""

    def explains(row: Mapping[str, Any], base: str) -> bool:
        kin = [truth(manifest, base, row[side]) for side in ("reference", "candidate")]
        return all(t.relation != "independent" for t in kin)

    return [
        Result(
            row,
            truth(manifest, row["reference"], row["candidate"]),
            any(explains(row, base) for base in row["bases"]),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Separation:
    """``limit`` is the score that at most 1 % of the strangers of the even seeds exceed; ``found`` the share
    of positives of the odd seeds above it, ``whole`` that of all positives, ``false`` that of the odd seeds'
    strangers; ``auc`` is over all."""

    n: int
    auc: float
    limit: float
    found: float
    held: int
    whole: float
    false: float
    strangers: int


def separation(
    positive: Sequence[Result],
    strangers: Sequence[Result],
    of: Callable[[Result], float | None] = lambda r: score(r.row),
) -> Separation:
    """How well a score tells positives from strangers. Pairs without a score come last."""

    def told(some: Sequence[Result], half: int | None = None) -> list[float]:
        values = [of(r) for r in some if half is None or r.half == half]
        return [-1e9 if v is None else v for v in values]

    limit = threshold(told(strangers, 0), RATE)
    odd, false = told(positive, 1), told(strangers, 1)
    return Separation(
        len(positive), auc(told(positive), told(strangers)), limit,
        above(odd, limit), len(odd), above(told(positive), limit), above(false, limit), len(false),
    )  # fmt: skip


def sigmas(manifest: Manifest, some: Sequence[Result]) -> dict[str, list[float]]:
    """Relative errors of the noise's standard deviation, by group, where it is one number for all tensors."""
    found: dict[str, list[float]] = {}
    for r in some:
        told = manifest.records[r.row["candidate"]].get("sigma")
        relative = any(
            s.name == "noise" and s.params.get("relative") for s in manifest.recipes[r.row["candidate"]].steps
        )
        measured = r.row["measures"].get("weights.noise weights_sigma")
        if told is not None and not relative and r.truth.source == r.row["reference"]:
            true = float(Fraction(str(told)))
            found.setdefault(r.row["group"], []).append(
                float("nan") if measured is None else measured / true - 1
            )
    return found


def shares(manifest: Manifest, some: Sequence[Result]) -> list[tuple[str, float, float | None, float]]:
    """(candidate, true share of the reference, coefficient found, share left unexplained) of merges."""
    found = []
    for r in some:
        recipe = manifest.recipes[r.row["candidate"]]
        told = manifest.records[r.row["candidate"]].get("shares")
        names = [p.name for p in recipe.parents]
        if r.base and isinstance(told, list) and r.row["reference"] in names:
            measures = r.row["measures"]
            found.append((
                r.row["candidate"], float(told[names.index(r.row["reference"])]),
                measures.get("weights.merge merge_coefficient"),
                float(measures.get("weights.merge merge_unexplained", float("nan"))),
            ))  # fmt: skip
    return found


def renamings(manifest: Manifest, some: Sequence[Result]) -> tuple[int, int]:
    """Matrices of renamed candidates whose counterpart was rightly found, and all of them."""
    right = every = 0
    for r in some:
        names = manifest.records[r.row["candidate"]].get("names")
        if not isinstance(names, Mapping) or r.truth.source != r.row["reference"]:
            continue
        steps = {s.name for s in manifest.recipes[r.row["candidate"]].steps}
        if steps != {"renamed"}:
            continue
        told = {candidate: reference for reference, candidate, _ in r.row.get("compared", [])}
        matrices = [n for n, old in names.items() if re.search(r"weight$", old) and not _NORM.search(old)]
        every += len(matrices)
        right += sum(told.get(n) == names[n] for n in matrices)
    return right, every


def localised(some: Sequence[Result], chosen: str, kinds: Sequence[str]) -> tuple[int, int, int]:
    """(rightly told, told, true): matrices of one of the ``kinds`` against names that fit ``chosen``."""
    right = told = true = 0
    for r in some:
        for name, _, kind in r.row.get("compared", []):
            fits, found = bool(re.search(chosen, name)), kind in kinds
            right, told, true = right + (fits and found), told + found, true + fits
    return right, told, true


def f1(right: int, told: int, true: int) -> float:
    """2 right / (told + true)."""
    return 2 * right / (told + true) if told + true else float("nan")
