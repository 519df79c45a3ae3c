"""Tensor names: the rules that turn one side's names into the other's. They describe, they never count."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.align.names import Renaming, Rule, renaming
from apograph.evidence.explain import Explained, explained
from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import Exhibit, Finding, Json, Location, Measure, Message, Strength, Unexamined
from apograph.release.types import Release

SHARED_KEY = "names.renaming"
"""Where ``Case.shared`` keeps the ``Renaming`` for other examiners."""


@examiner("names", needs=Part.TENSORS)
def renamed_tensors(case: Case) -> Iterator[Finding | Unexamined]:
    """The map between all tensor names; kept in ``case.shared["names.renaming"]``."""
    reference, candidate = case.reference.tensors, case.candidate.tensors
    assert reference is not None
    assert candidate is not None
    found = renaming(reference, candidate)
    case.shared[SHARED_KEY] = found
    known = explained(case, _names)
    yield Finding(
        id="names.renaming",
        channel="names",
        message=_message(found),
        strength=Strength("none"),
        measures=_measures(case, found, known),
        exhibits=(Exhibit("rename_map", _map(found, known), Message("names.caption")),)
        if found.rules
        else (),
        locations=tuple(
            Location(side, tensors.path)
            for side, tensors in (("reference", reference), ("candidate", candidate))
            if tensors.path
        ),
        alternatives=(Message("names.alternative.architecture"), Message("names.alternative.library"))
        if found.pairs
        else (),
        limits=_limits(found, known),
    )


def _names(release: Release) -> Iterator[str]:
    for entry in release.tensors.entries if release.tensors is not None else ():
        yield entry.name


def _message(found: Renaming) -> Message:
    renamed = [rule for rule in found.rules if rule.pattern_from != rule.pattern_to]
    unchanged = sum(a == b for a, b in found.pairs)
    if not found.pairs:
        kind = "none"
    elif unchanged == len(found.pairs):
        kind = "same" if found.complete else "same_part"
    else:
        kind = "renamed" if found.complete else "renamed_part"
    if found.pairs and found.complete and found.ordered:
        kind += "_sized" if found.sizes_equal else "_ordered"
    params: dict[str, str | int | float | bool] = {
        "n": len(found.pairs),
        "unchanged": unchanged,
        "rules": len(renamed),
        "list": "; ".join(f"{r.pattern_from} → {r.pattern_to}" for r in renamed[:4]),
        "reference": len(found.pairs) + len(found.unmatched_reference),
        "candidate": len(found.pairs) + len(found.unmatched_candidate),
    }
    return Message(f"names.renaming.{kind}", params)


def _measures(case: Case, found: Renaming, known: Explained[str]) -> tuple[Measure, ...]:
    reference, candidate = case.reference.tensors, case.candidate.tensors
    assert reference is not None
    assert candidate is not None
    n = len(found.pairs)
    measures = [
        Measure("names.pairs", n, n=max(len(reference.entries), len(candidate.entries))),
        Measure("names.unchanged", sum(a == b for a, b in found.pairs), n=n),
        Measure("names.unmatched_reference", len(found.unmatched_reference), n=len(reference.entries)),
        Measure("names.unmatched_candidate", len(found.unmatched_candidate), n=len(candidate.entries)),
        Measure("names.order", found.order_correlation, n=n),
        Measure("names.size_reference", reference.total_size, "bytes"),
        Measure("names.size_candidate", candidate.total_size, "bytes"),
    ]
    if found.shapes_equal is not None:
        measures.append(Measure("names.shapes_equal", found.shapes_equal, n=n))
    if known.given:
        measures.append(Measure("names.in_base", sum(_held(known.base, p) for p in found.pairs), n=n))
        measures.append(Measure("names.in_claimed", sum(_held(known.claimed, p) for p in found.pairs), n=n))
    return tuple(measures)


def _held(names: frozenset[str], pair: tuple[str, str]) -> bool:
    """Whether a source has the tensor under either side's name."""
    return pair[0] in names or pair[1] in names


def _map(found: Renaming, known: Explained[str]) -> dict[str, Json]:
    return {
        "rules": [_rule(rule, found, known) for rule in found.rules],
        "unmatched": {
            "reference": list(found.unmatched_reference),
            "candidate": list(found.unmatched_candidate),
        },
        "ordered": found.ordered,
        "totals": {
            "reference": len(found.pairs) + len(found.unmatched_reference),
            "candidate": len(found.pairs) + len(found.unmatched_candidate),
            "matched": len(found.pairs),
        },
    }


def _rule(rule: Rule, found: Renaming, known: Explained[str]) -> dict[str, Json]:
    return {
        "from": rule.pattern_from,
        "to": rule.pattern_to,
        "count": rule.count,
        "examples": [list(pair) for pair in rule.examples],
        "base": sum(_held(known.base, found.pairs[n]) for n in rule.pairs),
    }


def _limits(found: Renaming, known: Explained[str]) -> tuple[Message, ...]:
    limits = [Message("names.limit.never")]
    if found.shapes_equal is None and found.pairs:
        limits.append(Message("names.limit.no_shapes"))
    if found.uncertain:
        limits.append(Message("names.limit.uncertain", {"n": found.uncertain}))
    common = sum(_held(known.base, p) or _held(known.claimed, p) for p in found.pairs)
    if common:
        limits.append(Message("names.limit.in_base", {"n": common}))
    return tuple(limits)
