"""What points from one side to the other, and what may be called a known direction.

Signs, order, basis and fine detail are free choices of whoever publishes last, so nothing in files or weights
gives a direction by itself: arrows and left-overs *point*. A direction is known where a third party witnessed
one side's bytes before the other could be had (``evidence.witness``), and nothing points the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apograph.findings import Conclusion, Finding, Message, Param, Relation, Side

ORDER, OF_FILES = "witness.order", "witness_whole_time"
"""The finding whose arrow is the side first witnessed by its weights; its measure, by when all files."""
DIRECTED: tuple[Relation, ...] = ("copy or derivative", "merge")
"""Relations in which one side was made from the other, so that it matters who was first."""
AGAINST = "conclusion.note.against_order"


@dataclass(frozen=True, slots=True)
class First:
    """The side established to be the older one, by the times that establish it, as text."""

    side: Side
    time: str
    stated: str


def first_by_weights(findings: Iterable[Finding]) -> First | None:
    """The side whose weights are established to be the older ones."""
    found = _order(findings)
    if found is None or found.arrow is None:
        return None
    params = found.message.params
    return First(found.arrow, str(params.get("time", "")), str(params.get("stated", "")))


def first_by_files(findings: Iterable[Finding]) -> First | None:
    """The side all of whose files are established to be the older ones: never without its weights."""
    first, found = first_by_weights(findings), _order(findings)
    times = [] if found is None else [str(m.value) for m in found.measures if m.name == OF_FILES]
    return replace(first, time=times[0]) if first is not None and times else None


def _order(findings: Iterable[Finding]) -> Finding | None:
    return next((f for f in findings if f.id == ORDER), None)


def directed(
    conclusion: Conclusion, first: First | None, pointing: Sequence[Finding], kind: str
) -> Conclusion:
    """The conclusion with its direction: known, pointed at, or neither.

    ``pointing``: findings with an arrow; ``kind`` is "arrow" or "left_over", for the words. Of a relation in
    which neither side was made from the other nothing is said but what points. Either side can be the merged
    one, so a merge needs an arrow as well.
    """
    sides = {f.arrow for f in pointing if f.arrow is not None}
    side = sides.pop() if len(sides) == 1 else None
    notes = conclusion.notes
    unsaid = conclusion.relation == "merge" and not sides and side is None
    if first is not None and conclusion.relation in DIRECTED and not unsaid:
        if sides or side not in (None, first.side):
            return replace(conclusion, notes=(*notes, Message(AGAINST, {"side": first.side})))
        basis = (*conclusion.basis, ORDER)
        other = "candidate" if first.side == "reference" else "reference"
        params: dict[str, Param] = {"other": other, "time": first.time, "stated": first.stated}
        told = Message("conclusion.direction.witnessed", params)
        return replace(conclusion, direction="known", source=first.side, direction_basis=told, basis=basis)
    if first is not None:
        notes = (*notes, Message("conclusion.note.order", {"side": first.side}))
    if side is None:
        return replace(conclusion, notes=notes)
    count = sum(f.arrow is not None for f in pointing)
    told = Message(f"conclusion.direction.{kind}", {"side": side, "n": count})
    notes = (*notes, Message(f"conclusion.note.{kind}"))
    return replace(conclusion, direction_basis=told, notes=notes)


def joined(stands: Conclusion, other: Conclusion) -> Conclusion:
    """``stands`` with the direction that both conclusions allow: where they name different sources, none."""
    known = {c.source for c in (stands, other) if c.direction == "known"}
    doubt = tuple(n for n in other.notes if n.key == AGAINST)
    if len(known) == 2 or (known and doubt):
        notes = (*stands.notes, *doubt)
        return replace(stands, direction="unknown", source=None, direction_basis=None, notes=notes)
    if known and stands.direction == "unknown" and stands.relation in DIRECTED:
        return replace(stands, direction="known", source=other.source, direction_basis=other.direction_basis)
    return stands
