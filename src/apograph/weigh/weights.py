"""What the weights say of the relation, and how that stands beside what files and code say.

Without a witness of the reference's date weights give no direction: signs, order and basis of either side
could have been chosen in view of the other. Without a base no more than a common origin is spoken of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from apograph.findings import Bearing, Conclusion, Finding, Message, Param, Relation

CHANNEL, COINS = "weights", "weights.coins"
SAME, MADE, BASES = "weights_identical", "weights_made", "weights_bases"
COMPUTED, COUNTS = "weights_computed", 0.01
"""Measures of findings of the channel: the share of both checkpoints' elements that are bit-equal (1 only if
nothing is left over on either side); the share of matrices' elements, beyond the bases, whose change shows
that one tensor was computed from the other; the number of bases whose weights were set aside. COMPUTED is
MADE without fine-tuning, which two models that were trained from one seed can look like."""
RANK: dict[Relation, int] = {
    "independent": 0,
    "undetermined": 1,
    "common ancestor": 2,
    "common origin": 3,
    "same initialisation or derivative": 4,
    "merge": 4,
    "copy or derivative": 5,
    "identical": 6,
}
RELATED = 2


def conclude_weights(findings: Iterable[Finding]) -> Conclusion | None:
    """The relation of the weights alone; None when they were not compared or say nothing.

    Equal values are "identical". Tensors computed from each other: "copy or derivative" with a base set
    aside, else "common origin". Likeness as after training, or coins with an effect beyond what lossless
    changes reach: "same initialisation or derivative" with a base, since a shared seed explains them, else
    "common origin". Coins without that effect leave it undetermined. Coins that a base explains: "common
    ancestor". None of these: no evidence.
    """
    relation: Relation
    told = [f for f in findings if f.channel == CHANNEL]
    coins = next((f for f in told if f.id == COINS), None)
    made = [f for f in told if f.bearing is Bearing.DISTINCTIVE and f is not coins]
    base = any(_measure(f, BASES) > 0 for f in told)
    notes: tuple[Message, ...] = (Message("conclusion.note.undated"),)
    notes += (Message("conclusion.note.unlisted" if base else "conclusion.note.no_base"),)
    same = [f for f in told if _measure(f, SAME) == 1]
    if same:
        return _weighed("identical", "identical", same, ())
    if made:
        share: dict[str, Param] = {"share": max(_measure(f, MADE) for f in made)}
        basis = [*made, *([coins] if coins and coins.bearing is Bearing.DISTINCTIVE else [])]
        if max(_measure(f, COMPUTED) for f in made) >= COUNTS:
            return _weighed("copy or derivative" if base else "common origin", "made", basis, notes, share)
        relation = "same initialisation or derivative" if base else "common origin"
        return _weighed(relation, "tuned", basis, notes, share)
    if coins is None:
        return None
    if coins.bearing is Bearing.DISTINCTIVE:
        relation = "same initialisation or derivative" if base else "common origin"
        return _weighed(relation, "coins_base" if base else "coins", [coins], notes, coins.message.params)
    if coins.bearing is Bearing.SUPPORTING:
        return _weighed("undetermined", "weak", [coins], notes, coins.message.params)
    if coins.bearing is Bearing.CONTEXT:
        return _weighed("common ancestor", "explained", [coins], ())
    if any(f.bearing is Bearing.SUPPORTING for f in told):
        return _weighed("undetermined", "mixed", told, ())
    return _weighed("independent", "independent", [coins], ())


def merged(files: Conclusion, weights: Conclusion | None) -> Conclusion:
    """One conclusion from that of the files and that of the weights.

    The stronger relation stands. A direction that the files show is kept only where that relation is their
    own. Weights without evidence take nothing from what files and code show: these can be copied alone.
    """
    if weights is None or files.relation == "identical":
        return files
    mine, theirs = RANK[weights.relation], RANK[files.relation]
    basis = tuple(dict.fromkeys((*files.basis, *weights.basis)))
    if mine == theirs == RANK["copy or derivative"]:
        return replace(files, basis=basis, strength=weights.strength, notes=(*files.notes, weights.sentence))
    if mine > max(theirs, RELATED) or (mine == RELATED and theirs == 0):
        notes = _once([*weights.notes, *([files.sentence] if theirs >= RELATED else [])])
        return replace(weights, basis=basis, notes=notes)
    unread = files.sentence.key == "conclusion.undetermined.too_little"
    if unread or (mine == 1 and theirs < RELATED):
        return replace(weights, basis=basis)
    return replace(files, basis=basis, notes=_once([*files.notes, weights.sentence]))


def _weighed(
    relation: Relation,
    key: str,
    basis: Sequence[Finding],
    notes: tuple[Message, ...],
    params: object = None,
) -> Conclusion:
    strongest = min(basis, key=lambda f: f.strength.log10_p or 0.0)
    filled = dict(params) if isinstance(params, dict) else {}
    sentence = Message(f"conclusion.weights.{key}", filled)
    return Conclusion(
        relation, sentence, tuple(f.id for f in basis), strength=strongest.strength, notes=notes
    )


def _once(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple({repr(m): m for m in messages}.values())


def _measure(finding: Finding, name: str) -> float:
    values = [m.value for m in finding.measures if m.name == name]
    return float(values[0]) if values and isinstance(values[0], int | float) else 0.0
