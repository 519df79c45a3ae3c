"""Findings on the texts themselves: nearness, structure nobody asked for, sampled texts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.actions import overlap, parse_actions
from apograph.behaviour.edit import similarity
from apograph.behaviour.mmd import mmd, samples
from apograph.behaviour.panel import usable
from apograph.behaviour.shared import rank, shared_errors
from apograph.behaviour.structure import structure_view
from apograph.behaviour.tell import CHANNEL, measure, short, strength, table, words
from apograph.findings import Finding, Unexamined

if TYPE_CHECKING:
    from apograph.behaviour.answers import Answers

_MOST_PAIRS = 20_000
_MOST_CHARACTERS = 500_000
"""Of the reference's answers, in order: edit distances of long texts take milliseconds each."""
_ROWS = 40


def findings(answers: Answers) -> Iterator[Finding | Unexamined]:
    """The findings of this file, where they apply."""
    if answers.sheet.kind in ("text", "action", "transcript"):
        yield from _near(answers)
    if answers.sheet.kind == "transcript":
        yield from _structure(answers)
    pairs = samples(answers.sheet, answers.reference, answers.candidate)
    if pairs:
        squared, p = mmd(pairs)
        yield Finding(
            f"{CHANNEL}.samples",
            CHANNEL,
            words("samples.found", n=len(pairs)),
            strength=strength("exact", math.log10(p), words("null.samples")),
            measures=(measure("mmd", squared, len(pairs)), measure("samples_p", p)),
            limits=(words("limit.samples"),),
        )


def _near(answers: Answers) -> Iterator[Finding]:
    """Mean likeness of the answers that both give: edit similarity of texts, IoU of the boxes of actions."""
    actions = answers.sheet.kind == "action"
    means = {}
    for j in (answers.candidate, *answers.panel.kept):
        value = _mean_likeness(answers, j, actions)
        if value is not None:
            means[j] = value
    if answers.candidate not in means:
        return
    own, n = means.pop(answers.candidate)
    panel = sorted(value for value, _ in means.values())
    above = sum(value >= own for value in panel)
    key = "action" if actions else "text"
    identical = int(answers.sheet.identical(answers.reference, answers.candidate).sum())
    yield Finding(
        f"{CHANNEL}.near",
        CHANNEL,
        words(f"near.{key}{'' if panel else '_alone'}", mean=own, n=n, above=above, panel=len(panel)),
        strength=strength("exact", math.log10((1 + above) / (len(panel) + 1)), words("null.exchangeable"))
        if panel
        else strength("descriptive", None, words("null.exchangeable")),
        measures=(
            measure(f"near_{key}", own, n),
            measure("character_identical", identical),
            measure("near_panel", panel[-1] if panel else None, len(panel)),
        ),
        limits=(words("limit.exchangeable"),) if panel else (words("limit.no_panel"),),
    )


def _mean_likeness(answers: Answers, j: int, actions: bool) -> tuple[float, int] | None:
    sheet = answers.sheet
    a, b = sheet.columns[answers.reference].codes, sheet.columns[j].codes
    both = (a >= 0) & (b >= 0)
    if sheet.keyed:
        both &= ~(sheet.right(answers.reference) & sheet.right(j))
    rows = np.flatnonzero(both)[:_MOST_PAIRS]
    lengths = np.cumsum([len(sheet.texts[code]) for code in a[rows].tolist()])
    rows = rows[: max(1, int(np.searchsorted(lengths, _MOST_CHARACTERS)))]
    if not len(rows):
        return None
    judge = _boxes if actions else similarity
    return float(sheet.judged(a[rows], b[rows], judge).mean()), len(rows)


def _boxes(a: str, b: str) -> float:
    return overlap(parse_actions(a), parse_actions(b)) or 0.0


def _structure(answers: Answers) -> Iterator[Finding]:
    """Headings and list forms that the reference adds unasked, and who adds them too."""
    view, units = structure_view(answers.sheet, answers.reference)
    s, m = view.counts(answers.candidate)
    if not s:
        return
    panel = usable(view, answers.panel.kept)
    rows: list[list[Any]] = [
        [
            short(item, 40),
            short(element),
            int(view.hit[list(panel), n].sum()),
        ]
        for n, (item, element) in enumerate(units)
        if view.hit[answers.candidate, n]
    ]
    rows.sort(key=lambda row: row[2])
    exhibits = (table(words("structure.caption"), ("item", "element", "panel"), rows[:_ROWS]),)
    if not panel:
        yield Finding(
            f"{CHANNEL}.structure",
            CHANNEL,
            words("structure.alone", s=s, m=m),
            measures=(measure("elements", s), measure("elements_shared", m, s)),
            exhibits=exhibits,
            limits=(words("limit.no_panel"),),
        )
        return
    found = shared_errors(view, answers.candidate, panel)
    p, _ = rank(view, answers.candidate, panel)
    yield Finding(
        f"{CHANNEL}.structure",
        CHANNEL,
        words("structure.found", s=s, m=m, expected=found.expected, panel=len(panel)),
        measures=(
            measure("elements", s),
            measure("elements_shared", m, s),
            measure("expected_identical", found.expected),
            measure("plug_in", found.log10_plug),
            measure("rank_p", p, len(panel)),
        ),
        exhibits=exhibits,
        alternatives=(words("alternative.template"),),
        limits=(words("limit.structure"),),
    )
