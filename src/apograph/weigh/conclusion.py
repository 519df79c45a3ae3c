"""The answer in one sentence, by the rules of ``docs/conclusion.md``; it never rests on configuration.

Static evidence has no error rates, so its conclusions are descriptive. What counts is *distinctive* material:
the reference's own, in the candidate, explained by no base and no claimed source. One kind of it can have an
innocent explanation; two independent kinds seldom share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apograph.findings import Bearing, Conclusion, Finding, Message, Relation, Side, Strength

MATERIAL = ("files", "code", "tokenizer", "history")
"""Channels whose distinctive findings can carry a conclusion. Configuration and names cannot."""

ENOUGH = 2
"""Distinct channels of distinctive material without which nothing stronger than "undetermined" is said."""


def conclude(
    findings: Sequence[Finding],
    *,
    same_digest: bool,
    bases_given: bool,
    examined: Iterable[str],
) -> Conclusion:
    """Weigh the findings of the static channels.

    ``same_digest``: both releases list the same files with the same identities. ``examined``: channels of
    which at least one examiner ran to its end. Swapping the releases swaps ``source`` and nothing else.
    """
    ran = frozenset(examined)
    notes = () if "weights" in ran else (Message("conclusion.note.no_weights"),)
    if same_digest:
        return Conclusion("identical", Message("conclusion.identical"), ("files.identical",), notes=notes)
    distinctive = [f for f in findings if f.bearing is Bearing.DISTINCTIVE]
    channels = [c for c in MATERIAL if any(f.channel == c for f in distinctive)]
    basis = tuple(f.id for f in distinctive)
    source = _source(findings)
    if len(channels) >= ENOUGH:
        relation: Relation = "copy or derivative" if bases_given or source is not None else "common origin"
        return _related(relation, channels, basis, source, findings, notes)
    if distinctive:
        return Conclusion(
            "undetermined",
            Message("conclusion.undetermined.one_channel", {"channel": distinctive[0].channel}),
            basis,
            notes=notes,
        )
    if not ran & {"code", "tokenizer", "files"}:
        return Conclusion("undetermined", Message("conclusion.undetermined.too_little"), notes=notes)
    supporting = tuple(f.id for f in findings if f.bearing is Bearing.SUPPORTING)
    if supporting:
        message = Message("conclusion.undetermined.supporting", {"n": len(supporting)})
        return Conclusion("undetermined", message, supporting, notes=notes)
    against = tuple(f.id for f in findings if f.bearing is Bearing.AGAINST)
    return Conclusion("independent", Message("conclusion.independent"), against, notes=notes)


def _related(
    relation: Relation,
    channels: Sequence[str],
    basis: tuple[str, ...],
    source: Side | None,
    findings: Sequence[Finding],
    notes: tuple[Message, ...],
) -> Conclusion:
    direction: Message | None = None
    if source is not None:
        arrows = tuple(f.id for f in findings if f.arrow == source)
        basis = tuple(dict.fromkeys((*basis, *arrows)))
        direction = Message("conclusion.direction.left_over", {"source": source, "n": len(arrows)})
        notes = (*notes, Message("conclusion.note.direction"))
    key = "copy" if relation == "copy or derivative" else "common"
    return Conclusion(
        relation,
        Message(
            f"conclusion.{key}.{'from_' + source if source else 'unknown'}",
            {"channels": len(channels), "list": ", ".join(channels)},
        ),
        basis,
        direction="known" if source else "unknown",
        source=source,
        direction_basis=direction,
        strength=Strength("descriptive"),
        notes=notes,
    )


def _source(findings: Iterable[Finding]) -> Side | None:
    """The side to which the arrows point, when they all point to one."""
    sides = {f.arrow for f in findings if f.arrow is not None and f.bearing is not Bearing.CONTEXT}
    return sides.pop() if len(sides) == 1 else None
