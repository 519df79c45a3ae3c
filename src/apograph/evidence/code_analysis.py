"""The comparison of a case's code, made once: what matches, and what bases and claimed sources explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from apograph.align.code import CodeMatch, Credits, Index, UnitMatch, match
from apograph.align.code_explain import bits, explained_by, most
from apograph.align.code_pair import NameMap, name_map
from apograph.align.code_trees import CodeTree, total_bits
from apograph.evidence.code_sources import Library, Sources, library
from apograph.evidence.registry import Case
from apograph.findings import Side, Unexamined
from apograph.release.types import Release

CLEAR_BITS = 60.0
CLEAR_COVERAGE = 0.6
"""A pair of functions counts as clear from so many shared bits that make up so much of one of them."""
DISTINCTIVE_BITS = 200.0
"""Unexplained bits in clear pairs from which shared code is distinctive (measured in docs/code.md)."""
DISTINCTIVE_PAIRS = 2
DISTINCTIVE_CONSISTENCY = 0.8


def clear(found: UnitMatch) -> bool:
    """Whether a pair is one that unrelated functions hardly ever reach."""
    coverage = max(found.left_coverage, found.right_coverage)
    return found.bits >= CLEAR_BITS and coverage >= CLEAR_COVERAGE


@dataclass(slots=True)
class Other:
    """A base or claimed source, what it explains of either side, and what its later state explains."""

    role: str
    sources: Sources
    candidate: Credits
    reference: Credits
    later: Credits
    """Of the candidate's matched units, by the newest revision; empty when there is none."""
    later_unread: tuple[Unexamined, ...]


@dataclass(slots=True)
class Row:
    """A matched pair in bits of the candidate's unit: shared with the reference, explained by others as well,
    and left over."""

    match: UnitMatch
    shared: float
    explained: float
    own: float


class Analysis:
    """Reference on the left, candidate on the right."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.library: Library = library(case)
        self.found: CodeMatch = match(self.reference.units, self.candidate.units)
        self.others = [
            self._other(release, role)
            for role, releases in (("base", case.bases), ("claimed", case.claimed))
            for release in releases
        ]

    @property
    def reference(self) -> Sources:
        """The reference's sources."""
        return self.library.reference

    @property
    def candidate(self) -> Sources:
        """The candidate's sources."""
        return self.library.candidate

    def _other(self, release: Release, role: str) -> Other:
        sources = self.library.other(release, role)
        index = sources.index or Index(())
        left = {m.left: None for m in self.found.matches}
        right = {m.right: None for m in self.found.matches}
        newest = sources.release.later
        later: Credits = {}
        unread: tuple[Unexamined, ...] = ()
        if newest is not None and right:
            found = self.library.other(newest, role, later=True)
            later, unread = explained_by(found.index or Index(()), right), found.unread
        mine = explained_by(index, self.candidate.units)
        return Other(role, sources, mine, explained_by(index, left), later, unread)

    @cached_property
    def explained(self) -> tuple[Credits, Credits]:
        """What bases and claimed sources together explain of the reference's and the candidate's units."""
        return most([o.reference for o in self.others]), most([o.candidate for o in self.others])

    @cached_property
    def rows(self) -> list[Row]:
        """Every matched pair, those that leave most unexplained first."""
        rows = []
        for found in self.found.matches:
            credits = [0.0] * len(found.right.full)
            for _, j, credit in found.alignment.pairs:
                credits[j] = max(credits[j], credit)
            shared = bits(found.right, credits)
            own = bits(found.right, credits, self.explained[1].get(found.right))
            rows.append(Row(found, shared, shared - own, own))
        return sorted(rows, key=lambda r: (-r.own, -r.shared, r.match.right.path, r.match.right.unit.start))

    @cached_property
    def clear_rows(self) -> list[Row]:
        """The rows of clear pairs."""
        return [r for r in self.rows if clear(r.match)]

    @cached_property
    def names(self) -> NameMap:
        """The renaming over all clear pairs."""
        return name_map(r.match.alignment for r in self.clear_rows)

    @cached_property
    def shared_bits(self) -> float:
        """Bits of the candidate in clear pairs, each operation once."""
        units = {r.match.right for r in self.clear_rows}
        return sum(bits(u, self.found.credits[1][u]) for u in units)

    @cached_property
    def own_bits(self) -> float:
        """Bits of the candidate in clear pairs that only the reference explains, each operation once."""
        theirs = self.explained[1]
        units = {r.match.right for r in self.clear_rows}
        return sum(bits(u, self.found.credits[1][u], theirs.get(u)) for u in units)

    @property
    def distinctive(self) -> bool:
        """Whether the unexplained code is more than unrelated releases share."""
        pairs = {r.match.right for r in self.clear_rows if r.own >= CLEAR_BITS / 2}
        consistency = mean_consistency([r.match for r in self.clear_rows])
        return (
            self.own_bits >= DISTINCTIVE_BITS
            and len(pairs) >= DISTINCTIVE_PAIRS
            and consistency >= DISTINCTIVE_CONSISTENCY
        )


def mean_consistency(matches: Sequence[UnitMatch]) -> float:
    """Share of aligned occurrences that each pair's own one-to-one map explains, over all pairs."""
    maps = [m.names() for m in matches]
    total = sum(m.occurrences for m in maps)
    return sum(m.consistency * m.occurrences for m in maps) / total if total else 1.0


def is_unit(tree: CodeTree) -> bool:
    """Functions and methods; what stands around them is matched but not counted."""
    return tree.unit.kind in ("function", "method")


def explained_share(case: Case, side: Side, path: str) -> float:
    """The largest share of one file's code, in bits, that a single base or claimed source has too."""
    found = analysis(case)
    sources = found.candidate if side == "candidate" else found.reference
    units = [u for u in sources.units if u.path == path]
    total = total_bits(units)
    shares = [
        sum(bits(u, (o.candidate if side == "candidate" else o.reference).get(u)) for u in units)
        for o in found.others
    ]
    return max(shares, default=0.0) / total if total else 0.0


def analysis(case: Case) -> Analysis:
    """The comparison of a case's code, made at the first call (``case.shared["code.analysis"]``)."""
    found = case.shared.get("code.analysis")
    if not isinstance(found, Analysis):
        found = case.shared["code.analysis"] = Analysis(case)
    return found
