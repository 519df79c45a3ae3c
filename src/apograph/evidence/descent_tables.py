"""Descent as exhibits: slopes by component, distances between all members, the tree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from statistics import median

from apograph.evidence.descent_edges import distance, tree
from apograph.evidence.descent_facts import Facts
from apograph.evidence.descent_family import CANDIDATE, REFERENCE, Family
from apograph.findings import Exhibit, Json, Message


def label(kin: Family, number: int) -> str:
    """A member as the tables name it: its role, and its place among several of one role."""
    role = kin.members[number].role
    same = kin.numbers(role)
    return role if len(same) == 1 else f"{role} {same.index(number) + 1}"


def figure(value: float | None) -> float | None:
    """Six significant digits."""
    return None if value is None else float(f"{value:.6g}")


def by_component(facts: Sequence[Facts]) -> Exhibit:
    """Tail slopes both ways by component (the reference's names, numbers as ``*``)."""
    ways = (REFERENCE, CANDIDATE), (CANDIDATE, REFERENCE)
    groups: dict[str, list[Facts]] = defaultdict(list)
    for f in facts:
        if ways[0] in f.tails and ways[1] in f.tails:
            groups[re.sub(r"\d+", "*", f.name)].append(f)
    rows: list[Json] = []
    for name, group in groups.items():
        slopes = [[f.tails[way].slope for f in group] for way in ways]
        errors = max(f.tails[way].error for f in group for way in ways)
        rows.append(
            [name, len(group), *(figure(x) for s in slopes for x in (min(s), median(s))), figure(errors)]
        )
    columns: list[Json] = [
        *("weights_component", "weights_tensors", "descent_least", "descent_middle"),
        *("descent_back_least", "descent_back_middle", "descent_error"),
    ]
    return Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.descent.caption.slopes"))


def distances(kin: Family, facts: Sequence[Facts]) -> Exhibit:
    """The root mean square difference of every two members."""
    rows: list[Json] = [
        [label(kin, a), label(kin, b), figure(distance(facts, a, b))]
        for a, b in combinations(range(len(kin.members)), 2)
    ]
    columns: list[Json] = ["descent_member", "descent_other", "descent_distance"]
    return Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.descent.caption.distances"))


def tree_table(kin: Family, facts: Sequence[Facts], origin: int) -> Exhibit:
    """Every member with its parent among the members, and the test of the edge."""
    rows: list[Json] = []
    for branch in tree(facts, origin, range(len(kin.members))):
        e = branch.edge
        tested = [None, None] if e is None else [figure(e.least), figure(e.middle)]
        rows.append([label(kin, branch.child), label(kin, branch.parent), figure(branch.distance), *tested])
    columns: list[Json] = [
        *("descent_member", "descent_parent", "descent_distance", "descent_least", "descent_middle")
    ]
    return Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.descent.caption.tree"))
