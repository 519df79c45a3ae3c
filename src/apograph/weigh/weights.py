"""The weights' own conclusion, and how that stands beside what files and code say.

Without a base no more than a common origin is spoken of, and without a witness of the dates there is no
direction: signs, order and basis of either side could have been chosen in view of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from apograph.findings import Conclusion, Finding, Message, Relation, Strength
from apograph.weigh.order import directed, first_by_weights, joined
from apograph.weigh.weight_rules import BASES, Told, answer, measure

CHANNEL = "weights"
RANK: dict[Relation, int] = {
    "independent": 0,
    "undetermined": 1,
    "common ancestor": 2,
    "common origin": 3,
    "same initialisation or derivative": 4,
    "merge": 5,
    "copy or derivative": 5,
    "identical": 6,
}
RELATED = 2
TOKENIZERS = {"files.equal", "tokenizer.added", "tokenizer.vocabulary"}
"""Findings that only support, and that one tokenizer shows: it passes unchanged from release to release, and
strangers take it from the same third party. ``files.equal`` supports by files of a tokenizer alone."""
APART = {"conclusion.undetermined.supporting": "supporting", "conclusion.undetermined.one_kind": "one_kind"}
"""Sentences of files that do not decide, and how they begin beside weights that show nothing."""


def conclude_weights(findings: Sequence[Finding]) -> Conclusion | None:
    """The relation of the weights alone, by ``weight_rules.RULES``; None when they say nothing."""
    told = [f for f in findings if f.channel == CHANNEL]
    first = first_by_weights(findings)
    base = any(measure(f, BASES) > 0 for f in told)
    found = answer(Told(told, base, first is not None))
    if found is None:
        return None
    notes: tuple[Message, ...] = ()
    unread = found.key == "unread"
    settled = unread or found.relation in ("identical", "common ancestor", "independent")
    if not settled:
        notes = () if first is not None else (Message("conclusion.note.undated"),)
        notes += (Message("conclusion.note.unlisted" if base else "conclusion.note.no_base"),)
    strongest = min(found.basis, key=lambda f: f.strength.log10_p or 0.0)
    conclusion = Conclusion(
        found.relation,
        Message(f"conclusion.weights.{found.key}", found.params),
        tuple(dict.fromkeys(f.id for f in found.basis)),
        strength=Strength() if unread else strongest.strength,
        notes=notes,
    )
    return (
        conclusion
        if settled
        else directed(conclusion, first, [f for f in told if f.arrow is not None], "arrow")
    )


def merged(files: Conclusion, weights: Conclusion | None) -> Conclusion:
    """One conclusion from that of the files and that of the weights.

    The stronger relation stands. A direction is kept where the other conclusion does not name the other side.
    Weights without evidence take nothing from what files and code show: these can be copied alone. Of what
    does not decide they are said first, and a tokenizer alone leaves no doubt beside them.
    """
    if weights is None or files.relation == "identical":
        return files
    if weights.relation == "independent" and files.sentence.key in APART:
        return _apart(files, weights)
    mine, theirs = RANK[weights.relation], RANK[files.relation]
    if files.relation == weights.relation == "copy or derivative":
        notes = _once([*files.notes, weights.sentence])
        return joined(replace(_resting(files, weights), strength=weights.strength, notes=notes), weights)
    if weights.relation == "merge" and files.relation == "copy or derivative":
        notes = _once([*weights.notes, files.sentence])
        return joined(replace(_resting(weights, files), notes=notes), files)
    if mine > max(theirs, RELATED) or (mine == RELATED and theirs == 0):
        notes = _once([*weights.notes, *([files.sentence] if theirs >= RELATED else [])])
        return replace(_resting(weights, files), notes=notes)
    unread = files.sentence.key == "conclusion.undetermined.too_little"
    if unread or (mine == 1 and theirs < RELATED):
        return _resting(weights, files)
    return replace(_resting(files, weights), notes=_once([*files.notes, weights.sentence]))


def _apart(files: Conclusion, weights: Conclusion) -> Conclusion:
    """Weights that were tested and show nothing, beside files that do not decide."""
    key = APART[files.sentence.key]
    if key != "supporting" or not TOKENIZERS.issuperset(files.basis):
        return replace(files, sentence=Message(f"conclusion.apart.{key}", files.sentence.params))
    note = Message("conclusion.note.tokenizer")
    basis = (*weights.basis, *files.basis)
    return replace(weights, sentence=Message("conclusion.apart.tokenizer"), basis=basis, notes=(note,))


def _resting(stands: Conclusion, other: Conclusion) -> Conclusion:
    """``stands``, resting on the other's findings as well where these show a relation or the same one."""
    rank = RANK[other.relation]
    if rank <= RELATED and rank != RANK[stands.relation]:
        return stands
    return replace(stands, basis=tuple(dict.fromkeys((*stands.basis, *other.basis))))


def _once(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple({repr(m): m for m in messages}.values())
