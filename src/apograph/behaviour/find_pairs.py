"""Findings on more than two models, none of them named the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from apograph.behaviour.find_errors import compared
from apograph.behaviour.matrix import closest_pairs, matrices
from apograph.behaviour.tell import CHANNEL, short, words
from apograph.findings import Finding, Unexamined

if TYPE_CHECKING:
    from apograph.behaviour.answers import Answers


def pairs(answers: Answers, named: int) -> Iterator[Finding | Unexamined]:
    """What was compared, the matrix of all models, and the pairs among the first ``named``, by excess."""
    yield compared(answers, named)
    if not answers.units.keyed:
        yield Unexamined(CHANNEL, words("unexamined.key"))
    yield Finding(
        f"{CHANNEL}.matrix",
        CHANNEL,
        words("matrix.found", n=len(answers.sheet.columns)),
        exhibits=matrices(answers.units),
        limits=(words("limit.matrix"),),
    )
    closest = closest_pairs(answers.units, range(named), range(named, len(answers.sheet.columns)))
    rows = closest.data["rows"]
    if rows:
        yield Finding(
            f"{CHANNEL}.pairs",
            CHANNEL,
            words("pairs.found", n=len(rows), first=short(str(rows[0][0])), second=short(str(rows[0][1]))),
            exhibits=(closest,),
            limits=(words("limit.pairs"),),
        )
