"""Whether what an examination concluded is right, given the truth and what it was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from apograph.findings import Relation, Side
from apograph.lab.manifest import Truth

Verdict: TypeAlias = Literal["right", "less", "abstained", "missed", "wrong", "accused"]
"""right: what could be concluded was; less: true, but more could be said; abstained: "undetermined", or no
conclusion; missed: "independent" of related ones; wrong: another relation than the true one; accused: one
made from the other, or any relation at all, of two of which this is not true."""
DESCENT: tuple[Relation, ...] = ("identical", "copy or derivative", "merge")
START: tuple[Relation, ...] = ("same initialisation or derivative", "common origin", "common ancestor")
RIGHT: Mapping[tuple[Relation, bool], tuple[Relation, ...]] = {
    ("identical", False): ("identical",),
    ("identical", True): ("identical",),
    ("copy or derivative", False): ("common origin", "copy or derivative"),
    ("copy or derivative", True): ("copy or derivative",),
    ("merge", False): ("common origin", "copy or derivative", "merge"),
    ("merge", True): ("merge",),
    ("common ancestor", False): START,
    ("common ancestor", True): ("common ancestor",),
    ("same initialisation or derivative", False): START,
    ("same initialisation or derivative", True): START,
    ("independent", False): ("independent",),
    ("independent", True): ("independent",),
}
"""By the truth and whether a base was given. Without one, more than a common origin cannot be known."""


def verdict(concluded: str | None, truth: Truth, base: bool) -> Verdict:
    """The verdict on one conclusion (a ``Relation``, or None)."""
    if concluded is None or concluded == "undetermined":
        return "abstained"
    if concluded in RIGHT[truth.relation, base]:
        return "right"
    if truth.relation == "independent":
        return "accused"
    if concluded == "independent":
        # Beyond a base that holds all that two releases share, they are strangers.
        return "right" if truth.shared and base else "missed"
    if truth.relation in DESCENT:
        return "wrong" if concluded in ("identical", "common ancestor") else "less"
    return "accused" if concluded in DESCENT else "less"


def pointed(row: Mapping[str, Any]) -> Side | None:
    """The side to which all arrows of an examination point, if they agree."""
    sides = set(row["arrows"].values())
    return sides.pop() if len(sides) == 1 else None


def direction(row: Mapping[str, Any], truth: Truth) -> Literal["right", "wrong", "abstained", "false"]:
    """Whether the arrows name the source; "false" where neither side descends from the other."""
    side = pointed(row)
    if side is None:
        return "abstained"
    if truth.source is None:
        return "false"
    return "right" if row[side] == truth.source else "wrong"


def score(row: Mapping[str, Any]) -> float:
    """One number for the whole examination, by which pairs are ordered: 0 to 1 where nothing or "independent"
    was concluded, 1 to 2 for "undetermined", 2 to 3 for any relation; within each by the strongest effect, in
    units of what it needs to count."""
    level = {None: 0, "independent": 0, "undetermined": 1}.get(row["relation"], 2)
    effect = 0.0
    for name, value in row["measures"].items():
        if name.endswith(" weights_made"):
            effect = max(effect, float(value) / 0.01)
        elif name.endswith((" coins_ratio", " gauge_ratio")):
            effect = max(effect, float(value) / 2)
    return level + effect / (1 + effect)


def coin_score(row: Mapping[str, Any]) -> float:
    """-log10 of the smallest corrected p of the sign coins; 0 where none was thrown."""
    return -float(row["log10_p"].get("weights.coins", 0.0))
