"""All releases of a case beside the reference, matrix by matrix: what descent, merges and trees look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.tensors import CLEAR, Match, Part, match_tensors
from apograph.evidence.registry import Case
from apograph.evidence.rounding import FLOATS
from apograph.evidence.samples import sampled_rows
from apograph.evidence.sides import sides, stores_of
from apograph.evidence.starts import CHANCE
from apograph.evidence.transformation import Transformation
from apograph.findings import Refusal
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release

REFERENCE, CANDIDATE = 0, 1

Rows = NDArray[np.float64]
Turned = Callable[[TensorStore, TensorStore], TensorStore]


@dataclass(frozen=True, slots=True)
class Member:
    """A release of the case whose weights are akin to the reference's, and the parts that answer the parts of
    the reference (first match by tensor name)."""

    role: str
    ref: str
    store: TensorStore
    matches: dict[str, Match]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Sampled rows of one matrix of the reference: ``rows`` by the member's number, [rows, columns] each.
    ``rounding`` is the mean square of what each one's storage type rounds away."""

    name: str
    rows: dict[int, Rows]
    rounding: dict[int, float]


@dataclass(slots=True)
class Family:
    """``members`` start with the reference and the candidate; bases, claimed sources and the panel follow."""

    members: list[Member]
    told: Sequence[Transformation]

    def numbers(self, role: str) -> list[int]:
        """The numbers of the members of one role."""
        return [n for n, m in enumerate(self.members) if m.role == role]

    def matrices(self) -> Iterator[Matrix]:
        """Every matrix that the sides share, one after the other; a member without it is left out."""
        for t in self.told:
            yield self._matrix(t)

    def _matrix(self, told: Transformation) -> Matrix:
        own = [m.matches.get(told.match.reference.name) for m in self.members]
        own[CANDIDATE] = told.match
        height = _height(self.members[REFERENCE].store, told.match.reference.name)
        matches = {n: m for n, m in enumerate(own) if m is not None}
        start = told.match.reference.start
        matches = {n: m for n, m in matches.items() if m.reference.start == start}
        stop = min(height if m.reference.stop is None else m.reference.stop for m in matches.values())
        rows: dict[int, Rows] = {}
        for n, match in matches.items():
            cut = match if match.transposed else _cut(match, start, stop)
            a, b = sampled_rows(cut, self.members[REFERENCE].store, self.members[n].store)
            rows[REFERENCE] = a.astype(np.float64)
            if a.shape == b.shape and (n == CANDIDATE or _related(a, b)):
                rows[n] = b.astype(np.float64)
        names = {n: m.candidate.name for n, m in matches.items()} | {REFERENCE: told.match.reference.name}
        rounding = {n: _rounding(self.members[n].store, names[n], x) for n, x in rows.items()}
        return Matrix(told.match.reference.name, rows, rounding)


def _height(store: TensorStore, name: str) -> int:
    return (store.infos[name].shape or (1,))[0]


def _cut(match: Match, start: int, stop: int) -> Match:
    """The match on the reference's rows [start, stop) alone: what every member has."""
    other = match.candidate
    return replace(
        match,
        reference=Part(match.reference.name, start, stop),
        candidate=Part(other.name, other.start, other.start + stop - start),
    )


def _related(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two samples correlate beyond chance; names alone also pair strangers."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or a.std() == 0 or b.std() == 0:
        return False
    return bool(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) > CHANCE / np.sqrt(a.size))


def _rounding(store: TensorStore, name: str, values: Rows) -> float:
    kind = FLOATS.get(store.dtype(name))
    return 0.0 if kind is None else float(np.mean(kind.ulp(values) ** 2)) / 12


@contextmanager
def family(
    case: Case, told: Sequence[Transformation], turned: Turned | None = None
) -> Iterator[Family | None]:
    """The family of a case, its stores open; None when no matrix of the two sides is alike beyond chance.

    ``told`` are the classes of the pairs of reference and candidate; with ``turned`` those of the candidate
    in the reference's gauge (``evidence.gauge``). Releases whose weights cannot be read
    here, or are akin to none of the reference's, are left out. Raises Refusal as the stores of the sides do.
    """
    strange = ("constant", "vector", "unrelated")
    shared = [t for t in told if t.matrix and t.kind not in strange and not t.computed]
    if not shared:
        yield None
        return
    with ExitStack() as stack:
        reference, candidate = stores_of(sides(case))
        if turned is not None:
            candidate = turned(reference, candidate)
        members = [
            Member("reference", case.reference.ref, reference, {}),
            Member("candidate", case.candidate.ref, candidate, {}),
        ]
        for role, releases in (("base", case.bases), ("claimed", case.claimed), ("panel", case.panel)):
            members += [m for r in releases if (m := _member(role, r, reference, stack)) is not None]
        yield Family(members, shared)


def _member(role: str, release: Release, reference: TensorStore, stack: ExitStack) -> Member | None:
    try:
        store = stack.enter_context(closing(open_store(release)))
    except Refusal:
        return None
    matches: dict[str, Match] = {}
    for match in match_tensors(reference, store).matches:
        matches.setdefault(match.reference.name, match)
    akin = any(m.score >= CLEAR for m in matches.values())
    return Member(role, release.ref, store, matches) if akin else None
