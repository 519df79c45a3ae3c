"""Findings that rest on models of answering: copying indices, item response, agreement of all pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from apograph.behaviour.indices import copying_indices
from apograph.behaviour.irt import modelled_agreement
from apograph.behaviour.matrix import matrices
from apograph.behaviour.tell import CHANNEL, measure, table, words
from apograph.findings import Finding, Unexamined

if TYPE_CHECKING:
    from apograph.behaviour.answers import Answers


def findings(answers: Answers) -> Iterator[Finding | Unexamined]:
    """The indices of educational measurement, then the matrix of all models."""
    sheet, r, c, panel = answers.units, answers.reference, answers.candidate, answers.panel.kept
    modelled = modelled_agreement(sheet, r, c, panel)
    if modelled is not None:
        rows: list[list[object]] = [
            ["ω", round(modelled.log10_omega, 2), _note("omega")],
            ["GBT", round(modelled.log10_gbt, 2), _note("gbt")],
            ["M4", round(modelled.log10_m4, 2), _note("m4")],
        ]
        for name, value in copying_indices(sheet, r, c, panel).items():
            rows.append([name, round(value, 2), _note(name.lower())])
        yield Finding(
            f"{CHANNEL}.indices",
            CHANNEL,
            words("indices.found", n=len(rows)),
            measures=(
                measure("matches", modelled.matches),
                measure("expected_matches", modelled.expected),
                measure("omega", modelled.omega),
            ),
            exhibits=(table(words("indices.caption"), ("index", "log10", "model_of"), rows),),
            limits=(words("limit.models"),),
        )
    if len(answers.sheet.columns) > 2:
        yield Finding(
            f"{CHANNEL}.matrix",
            CHANNEL,
            words("matrix.found", n=len(answers.sheet.columns)),
            exhibits=matrices(sheet),
            limits=(words("limit.matrix"),),
        )


def _note(index: str) -> dict[str, object]:
    return {"key": f"answers.index.{index}", "params": {}}
