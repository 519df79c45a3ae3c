"""All pairs of models at once, no reference named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apograph.behaviour.pairs import count_pair, kappa
from apograph.behaviour.shared import match_chances, standardised
from apograph.behaviour.sheet import Sheet
from apograph.behaviour.tell import short, table, words
from apograph.behaviour.view import reference_view
from apograph.findings import Exhibit
from apograph.weigh.tails import poisson_binomial_tail

MOST = 60
_PAIRS = 200


def matrices(sheet: Sheet) -> tuple[Exhibit, ...]:
    """Matrices of the share of identical answers among shared errors and of error consistency κ (with a
    key), else of the share of identical answers. At most 60 models."""
    n = min(len(sheet.columns), MOST)
    labels = [short(column.name, 40) for column in sheet.columns[:n]]
    errors: list[list[float | None]] = [[None] * n for _ in range(n)]
    kappas: list[list[float | None]] = [[None] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            counts = count_pair(sheet, i, j)
            if counts.both:
                errors[i][j] = errors[j][i] = round(counts.identical / counts.both, 4)
            cells = np.array([counts.right, counts.first, counts.second, counts.identical, counts.different])
            with np.errstate(divide="ignore", invalid="ignore"):
                value = float(kappa(cells)) if counts.n else float("nan")
            kappas[i][j] = kappas[j][i] = round(value, 4) if value == value else None
    first = words("matrix.errors" if sheet.keyed else "matrix.answers")
    found = [Exhibit("matrix", {"labels": labels, "values": errors, "low": 0.0, "high": 1.0}, first)]
    if sheet.keyed:
        data = {"labels": labels, "values": kappas, "low": 0.0, "high": 1.0}
        found.append(Exhibit("matrix", data, words("matrix.kappa")))
    return tuple(found)


def closest_pairs(sheet: Sheet, among: Sequence[int], panel: Sequence[int] = ()) -> Exhibit:
    """Every pair of ``among``, most excess of identical errors first; for each pair all other models (of
    ``among`` and ``panel``) are the panel, so a family of copies hides some of its own likeness."""
    rows: list[list[Any]] = []
    everyone = [*among, *panel]
    for n, i in enumerate(among):
        view = reference_view(sheet, i)
        for j in among[n + 1 :]:
            others = [o for o in everyone if o not in (i, j) and view.tried[o].any()]
            s, m = view.counts(j)
            if not s:
                continue
            chances = match_chances(view, j, others)
            excess = standardised(chances, m)
            p = poisson_binomial_tail(chances, m) if others else None
            rows.append(
                [
                    sheet.columns[i].name,
                    sheet.columns[j].name,
                    s,
                    m,
                    round(float(chances.sum()), 1) if others else None,
                    round(excess, 1) if others else None,
                    None if p is None else round(p, 1),
                ]
            )
    rows.sort(key=lambda row: -float(row[5] if isinstance(row[5], float) else row[3]))
    columns = ("first", "second", "both_wrong", "same", "expected", "score", "log10")
    return table(words("pairs.caption", n=len(rows)), columns, rows[:_PAIRS])
