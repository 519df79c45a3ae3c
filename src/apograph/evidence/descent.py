"""Descent: what a base leaves to be shared, merges, the tree of the releases given, and what has no base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apograph.evidence.descent_arrows import arrows, slopes
from apograph.evidence.descent_edges import Edge, edge
from apograph.evidence.descent_facts import Facts
from apograph.evidence.descent_family import CANDIDATE, REFERENCE, Family
from apograph.evidence.descent_tables import by_component, distances, tree_table
from apograph.evidence.gauge import ALIGNED, Aligned
from apograph.evidence.merge_classes import KIN, Kin, kin_of, sums_of
from apograph.evidence.merge_finding import merges
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.weights import Compared
from apograph.findings import Exhibit, Finding, Measure, Message, Param, Side, Strength, Unexamined

COMPARED, NOVEL = "weights.compared", "weights.novel"
"""Keys of ``Case.shared``: what the weights' pass found (``Compared``); and for later examiners the names of
the matrices that the sides share and no base has: pairs (reference's, candidate's)."""


@examiner("weights", needs=Part.TENSORS)
def descent(case: Case) -> Iterator[Finding | Unexamined]:
    """Which side's change from a base goes on in the other's; merges; the tree; novel matrices; direction."""
    found, aligned = case.shared.get(COMPARED), case.shared.get(ALIGNED)
    if not isinstance(found, Compared):
        return
    behind = aligned if isinstance(aligned, Aligned) else None
    compared = found if behind is None else behind.compared
    told = compared.told
    yield from arrows([t for t in told if t.match.candidate.name not in compared.explained])
    known = case.shared.get(KIN) if behind is None else None
    if not isinstance(known, Kin):
        known = kin_of(case, told, None if behind is None else behind.turned)
    if known is None:
        return
    kin, facts, origin = known.family, known.facts, known.origin
    sums = list(merges(kin, facts, origin))
    if origin is None:
        yield from slopes(kin.told)
    else:
        yield from _descent(kin, facts, origin, next((f.arrow for f in sums), None))
        yield from _novel(case, kin, facts)
    yield from sums
    if len(kin.members) > 2:
        yield _geometry(kin, facts, origin)


def _descent(kin: Family, facts: Sequence[Facts], origin: int, part: Side | None) -> Iterator[Finding]:
    """``part``: the side of which the other is a merge. It may seem to hold the merge's whole change."""
    forward, back = (edge(facts, origin, a, b) for a, b in ((REFERENCE, CANDIDATE), (CANDIDATE, REFERENCE)))
    if forward is None or back is None:
        return
    others = [n for n in range(len(kin.members)) if n not in (REFERENCE, CANDIDATE)]
    sums = all(sums_of(f, others) for f in facts)
    key, arrow = ("sums", None) if sums else answer(forward, back)
    if None not in (arrow, part) and arrow != part:
        key, arrow = "merged", None
    params: dict[str, Param] = {
        "base": kin.members[origin].ref,
        "n": forward.n,
        "least": forward.least,
        "middle": forward.middle,
        "back_least": back.least,
        "back_middle": back.middle,
    }
    measures = [Measure("descent_slope", forward.beta, n=forward.all)]
    for name, e in (("forward", forward), ("back", back)):
        spread = (e.least, e.most)
        measures += [
            Measure(f"descent_{name}_least", e.least, n=e.n),
            Measure(f"descent_{name}_middle", e.middle, n=e.n, interval=spread),
        ]
    yield Finding(
        id="weights.descent",
        channel="weights",
        message=Message(f"weights.descent.{key}", params),
        strength=Strength("descriptive"),
        measures=tuple(measures),
        exhibits=(by_component(facts),),
        alternatives=tuple(
            Message(f"weights.descent.alternative.{a}") for a in ("unlisted", "merges", "same_run")
        ),
        limits=tuple(Message(f"weights.descent.limit.{a}") for a in ("sample", "forged")),
        arrow=arrow,
    )


def answer(forward: Edge, back: Edge) -> tuple[str, Side | None]:
    """The sentence, and the side whose change goes on in the other's: it is the source."""
    whole = forward.answer == "whole", back.answer == "whole"
    if all(whole):
        return "same", None
    if whole[0]:
        return "child", "reference"
    if whole[1]:
        return "parent", "candidate"
    if "unclear" in (forward.answer, back.answer):
        return "unclear", None
    if "scaled" in (forward.answer, back.answer):
        return "scaled", None
    if "more" in (forward.answer, back.answer):
        return ("more" if forward.answer == "more" else "more_back"), None
    return "apart", None


def _novel(case: Case, kin: Family, facts: Sequence[Facts]) -> Iterator[Finding]:
    """Matrices that the sides share and no base has."""
    bases = set(kin.numbers("base"))
    names = {f.name for f in facts if not bases & set(f.present)}
    own = [t for t in kin.told if t.match.reference.name in names]
    case.shared[NOVEL] = tuple((t.match.reference.name, t.match.candidate.name) for t in own)
    if not own:
        return
    groups: dict[str, list[str]] = {}
    for t in own:
        groups.setdefault(t.match.reference.name.split(".", 1)[0], []).append(t.kind)
    rows = [
        [name, len(kinds), ", ".join(sorted({k.replace("_", " ") for k in kinds}))]
        for name, kinds in groups.items()
    ]
    elements = sum(t.moments.n for t in own)
    yield Finding(
        id="weights.novel",
        channel="weights",
        message=Message("weights.novel.found", {"n": len(own), "modules": len(groups)}),
        strength=Strength("descriptive"),
        measures=(Measure("novel_tensors", len(own)), Measure("novel_elements", elements)),
        exhibits=(
            Exhibit(
                "table",
                {"columns": ["weights_component", "weights_tensors", "weights_class"], "rows": rows},
                Message("weights.novel.caption"),
            ),
        ),
        alternatives=(Message("weights.novel.seed"), Message("weights.descent.alternative.unlisted")),
    )


def _geometry(kin: Family, facts: Sequence[Facts], origin: int | None) -> Finding:
    exhibits = [distances(kin, facts)]
    key = "distances"
    if origin is not None:
        key = "tree"
        exhibits.append(tree_table(kin, facts, origin))
    return Finding(
        id="weights.geometry",
        channel="weights",
        message=Message(f"weights.geometry.{key}", {"n": len(kin.members)}),
        strength=Strength("descriptive"),
        exhibits=tuple(exhibits),
        limits=(Message("weights.descent.limit.sample"),),
    )
