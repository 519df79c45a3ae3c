"""A case opened from what the user named: two sides, what they may have in common, and the claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apograph.evidence.claims import read_claims
from apograph.evidence.registry import Case
from apograph.findings import Message, Refusal, Unexamined
from apograph.release import check_ref, open_release
from apograph.release.types import Release


def open_case(
    reference: str,
    candidate: str,
    *,
    bases: Sequence[str] = (),
    claimed: Sequence[str] = (),
    panel: Sequence[str] = (),
    claims: str | None = None,
    download: bool = False,
) -> tuple[Case, tuple[Unexamined, ...]]:
    """Open every release of a case.

    Bases and claimed sources are opened at their newest revision not later than the candidate's first
    commit, unless the user named a revision (``path@rev``): what came later explains nothing. One that has
    no revision so old is left out and listed in the second value. Raises Refusal as ``open_release`` and
    ``read_claims`` do; for a name that leads nowhere before anything is opened.
    """
    for ref in (reference, candidate, *bases, *claimed, *panel):
        check_ref(ref)
    statements = read_claims(claims) if claims is not None else ()
    sides = [open_release(ref, download=download) for ref in (reference, candidate)]
    cutoff = _first_commit(sides[1])
    late: list[Unexamined] = []
    case = Case(
        reference=sides[0],
        candidate=sides[1],
        bases=tuple(_opened(bases, "base", cutoff, download, late)),
        claimed=tuple(_opened(claimed, "claimed", cutoff, download, late)),
        panel=tuple(open_release(ref, download=download) for ref in panel),
        claims=tuple(statements),
    )
    return case, tuple(late)


def _first_commit(release: Release) -> int | None:
    history = release.history
    return min((c.time for c in history.commits), default=None) if history is not None else None


def _opened(
    refs: Iterable[str], role: str, cutoff: int | None, download: bool, late: list[Unexamined]
) -> Iterable[Release]:
    for ref in refs:
        try:
            yield open_release(ref, not_after=cutoff, download=download)
        except Refusal as refusal:
            if refusal.message.key != "release.git.none_so_old":
                raise
            late.append(Unexamined("release", Message("examine.base_too_late", {"ref": ref}), role, ref))
