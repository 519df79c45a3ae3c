"""The answer in one sentence, by the rules of ``docs/conclusion.md``; it never rests on configuration.

Static evidence has no error rates, so its conclusions are descriptive. What counts is *distinctive* material:
the reference's own, in the candidate, explained by no base and no claimed source. One kind of it can have an
innocent explanation; two independent kinds seldom share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from apograph.findings import Bearing, Conclusion, Finding, Message, Param, Side, Strength
from apograph.weigh.evalues import headline
from apograph.weigh.order import DIRECTED, directed, first_by_files
from apograph.weigh.weights import conclude_weights, merged

MATERIAL = ("files", "code", "tokenizer", "history", "answers")
"""Channels whose distinctive findings can carry a conclusion. Configuration and names cannot alone."""
ABOUT_BOTH = (*MATERIAL, "config")
"""Channels that hold one side against the other. Consistency and claims look at each side by itself."""
ONE_KIND = {"files": "code"}
"""An equal source file is seen by both channels: one file from a third party must not count twice."""
ENOUGH = 2
"""Kinds of evidence that must agree before the two are called related."""
SAME_NAMES = "config.shared_names"
"""Both give their model, classes and modules the same names of their own. With distinctive material of one
kind that is a common origin, not a copy: nothing was renamed, or both took a third's code and names."""
CLASS_NAMES = "config.class_names"
"""Measure of ``SAME_NAMES``: names of model, classes and modules that are the same, of all on either side."""
COUNTS = (Bearing.SUPPORTING, Bearing.DISTINCTIVE)
REAL_SHARE = 0.1
"""A base counts as set aside when it explains this share of what the two have in common in some channel: one
that is unrelated to both explains nothing."""


def conclude(
    findings: Sequence[Finding],
    *,
    same_digest: bool,
    bases_given: bool,
    examined: Iterable[str],
) -> Conclusion:
    """Weigh the findings of the static channels, then set the weights' own conclusion beside that.

    ``same_digest``: both releases list the same files with the same identities. ``examined``: channels of
    which at least one examiner ran to its end. Swapping the releases swaps what left-overs point to, and
    nothing else.
    """
    files = _of_files(findings, same_digest, bases_given, frozenset(examined))
    conclusion = merged(files, conclude_weights(findings))
    strength = headline(findings)
    return conclusion if strength is None else replace(conclusion, notes=(*conclusion.notes, strength))


def _of_files(
    findings: Sequence[Finding], same_digest: bool, bases_given: bool, ran: frozenset[str]
) -> Conclusion:
    # The examiner also ends when it had none to read.
    compared = any(f.channel == "weights" for f in findings)
    notes = () if compared else (Message("conclusion.note.no_weights"),)
    if same_digest:
        return Conclusion("identical", Message("conclusion.identical"), ("files.identical",), notes=notes)
    told = [f for f in findings if f.channel in ABOUT_BOTH]
    distinctive = [f for f in told if f.bearing is Bearing.DISTINCTIVE]
    channels = [c for c in ABOUT_BOTH if any(f.channel == c for f in distinctive)]
    if _kinds(channels) >= ENOUGH and set(channels) & set(MATERIAL) and not _nothing_renamed(told):
        related = _related(told, distinctive, channels, bases_given, notes)
        pointing = [f for f in told if f.arrow is not None and f.bearing is not Bearing.CONTEXT]
        side = _pointed_at(pointing)
        left_overs = [f for f in pointing if f.arrow == side] if related.relation in DIRECTED else []
        return directed(related, first_by_files(findings), left_overs, "left_over")
    basis = tuple(f.id for f in distinctive)
    if set(channels) & set(MATERIAL) and any(f.id == SAME_NAMES and f.bearing in COUNTS for f in told):
        message = Message("conclusion.common_names", {"list": ", ".join(channels)})
        basis = (*basis, SAME_NAMES)
        return Conclusion("common origin", message, basis, strength=Strength("descriptive"), notes=notes)
    if distinctive:
        message = Message("conclusion.undetermined.one_kind", {"list": ", ".join(channels)})
        return Conclusion("undetermined", message, basis, notes=notes)
    if not ran & {"code", "tokenizer", "files"}:
        return Conclusion("undetermined", Message("conclusion.undetermined.too_little"), notes=notes)
    supporting = tuple(f.id for f in told if f.bearing is Bearing.SUPPORTING)
    if supporting:
        message = Message("conclusion.undetermined.supporting", {"n": len(supporting)})
        return Conclusion("undetermined", message, supporting, notes=notes)
    inherited = [f for f in told if f.channel in MATERIAL and _explained(f) > 0]
    if bases_given and _kinds(f.channel for f in inherited) >= ENOUGH:
        basis = tuple(f.id for f in inherited)
        return Conclusion("common ancestor", Message("conclusion.ancestor"), basis, notes=notes)
    against = tuple(f.id for f in told if f.bearing is Bearing.AGAINST)
    return Conclusion("independent", Message("conclusion.independent"), against, notes=notes)


def _kinds(channels: Iterable[str]) -> int:
    return len({ONE_KIND.get(channel, channel) for channel in channels})


def _nothing_renamed(findings: Iterable[Finding]) -> bool:
    """Whether the two give model, classes and modules the same names throughout: members of one family that
    say so. An ancestor that was not given explains what they share, and their left-overs name its parts."""
    counts = (m for f in findings if f.id == SAME_NAMES for m in f.measures if m.name == CLASS_NAMES)
    return any(m.n is not None and m.value == m.n > 0 for m in counts)


def _explained(finding: Finding) -> float:
    """The share of what the two have in common that bases explain, by what the finding measured."""
    values = {m.name: m for m in finding.measures}
    base, code, bits = (values.get(name) for name in ("explain.base", "code_explained", "code_bits"))
    if base is not None and base.n and isinstance(base.value, int | float):
        return base.value / base.n
    if code is None or bits is None:
        return 0.0
    amounts = code.value, bits.value
    return amounts[0] / amounts[1] if all(isinstance(v, int | float) and v > 0 for v in amounts) else 0.0  # type: ignore[operator]


def _related(
    told: Sequence[Finding],
    distinctive: Sequence[Finding],
    channels: Sequence[str],
    bases_given: bool,
    notes: tuple[Message, ...],
) -> Conclusion:
    """Two or more kinds of distinctive material.

    Where no base explained anything nothing was set aside: what is shared, and what a left-over names, may be
    an ancestor's. And without a left-over both sides may have taken all of it from a third. Neither is then
    called a copy.
    """
    params: dict[str, Param] = {"kinds": _kinds(channels), "list": ", ".join(channels)}
    basis = tuple(f.id for f in distinctive)
    aside = bases_given and any(_explained(f) >= REAL_SHARE for f in told)
    side = _pointed_at(told)
    if not aside or side is None:
        note = "unlisted" if aside else "base_explains_nothing" if bases_given else "no_base"
        notes = (*notes, Message(f"conclusion.note.{note}"))
        sentence = Message("conclusion.common", params)
        return Conclusion("common origin", sentence, basis, strength=Strength("descriptive"), notes=notes)
    left_overs = [f.id for f in told if f.arrow == side]
    return Conclusion(
        "copy or derivative",
        Message(f"conclusion.copy.pointing_to_{side}", params),
        tuple(dict.fromkeys((*basis, *left_overs))),
        strength=Strength("descriptive"),
        notes=(*notes, Message("conclusion.note.unlisted")),
    )


def _pointed_at(findings: Iterable[Finding]) -> Side | None:
    """The side to which the left-overs point, when they all point to one. It is no direction: whoever
    publishes last can give a module of his own the name that a left-over asks for."""
    sides = {f.arrow for f in findings if f.arrow is not None and f.bearing is not Bearing.CONTEXT}
    return sides.pop() if len(sides) == 1 else None
