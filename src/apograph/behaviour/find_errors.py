"""Findings on errors: what was compared, the overlap, the identical wrong answers, rank, direction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from apograph.behaviour.canonical import EMPTY, FAILED, MISSING, REFUSED
from apograph.behaviour.pairs import Counts, beyond_panel, count_pair, drift, effects, independence
from apograph.behaviour.panel import accuracy, usable
from apograph.behaviour.shared import (
    LEAST_GAMMA,
    WEAK_GAMMA,
    Shared,
    left_out,
    match_chances,
    rank,
    shared_errors,
)
from apograph.behaviour.tell import CHANNEL, effect, measure, short, strength, table, words
from apograph.behaviour.transcripts import SEPARATOR
from apograph.behaviour.view import View, reference_view
from apograph.findings import Bearing, Exhibit, Finding, Message, Strength, Unexamined

if TYPE_CHECKING:
    from apograph.behaviour.answers import Answers

LEVEL = -6.0
_WHAT: dict[str, str] = {"transcript": "deviations", "action": "actions"}
SIGN_LEVEL = -2.0
"""log10 p of the sign test above which the errors of one side alone tell no direction."""
_ROWS = 40


def findings(answers: Answers) -> Iterator[Finding | Unexamined]:
    """The findings of this file, in the order of a report."""
    counts = count_pair(answers.units, answers.reference, answers.candidate)
    yield compared(answers)
    if answers.left_out:
        yield Unexamined(CHANNEL, words("unexamined.transcripts", n=answers.left_out))
    if not counts.n:
        yield Unexamined(CHANNEL, words("unexamined.nothing"))
        return
    if answers.units.keyed:
        yield _overlap(answers, counts)
    else:
        yield Unexamined(CHANNEL, words("unexamined.key"))
    view = reference_view(answers.units, answers.reference)
    panel = usable(view, answers.panel.kept)
    if view.counts(answers.candidate)[0]:
        yield from _identical(answers, view, panel, counts)
    if answers.units.keyed and counts.first + counts.second:
        yield _direction(answers, counts)


def compared(answers: Answers, named: int = 2) -> Finding:
    """Who answered what, and what was no answer; ``named`` models were named, two are the two sides."""
    sheet = answers.sheet
    rows = []
    for j, column in enumerate(sheet.columns):
        role = "noised" if j in answers.noised else "panel"
        if named > 2:
            role = "model" if j < named else "panel"
        else:
            role = {answers.reference: "reference", answers.candidate: "candidate"}.get(j, role)
        told = round(accuracy(answers.units, j), 4) if answers.units.keyed else None
        rows.append(
            [
                column.name,
                {"key": f"answers.role.{role}", "params": {}},
                int((column.codes >= 0).sum()),
                told,
                sheet.count(j, EMPTY),
                sheet.count(j, REFUSED),
                sheet.count(j, FAILED),
                sheet.count(j, MISSING),
            ]
        )
    marks = {item[:2] for item in sheet.items}
    limits = [words(f"limit.{how}") for how, mark in (("names", "i:"), ("shown", "p:")) if mark in marks]
    limits += [
        words("limit.dropped", name=short(answers.name(j)), twin=short(answers.name(twin)))
        for j, twin in answers.panel.dropped
    ]
    if answers.by_consensus:
        limits.append(words("limit.consensus", n=answers.by_consensus))
    columns = ("model", "role", "answers", "accuracy", "empty", "refused", "failed", "missing")
    return Finding(
        f"{CHANNEL}.compared",
        CHANNEL,
        _counted(answers, named),
        strength=Strength("none"),
        exhibits=(table(words("compared.caption"), columns, rows),),
        limits=tuple(limits),
    )


def _counted(answers: Answers, named: int) -> Message:
    items, panel = len(answers.sheet.items), len(answers.panel.kept)
    if named > 2:
        return words("compared.models", models=named, items=items, panel=panel)
    n = count_pair(answers.units, answers.reference, answers.candidate).n
    kind = "positions" if answers.sheet.kind == "transcript" else "items"
    return words(f"compared.{kind}", n=n, items=items, panel=panel)


def _overlap(answers: Answers, counts: Counts) -> Finding:
    found = effects(counts)
    panel = [count_pair(answers.units, answers.reference, j) for j in answers.panel.kept]
    beyond = beyond_panel(counts, panel)
    measures = [
        measure("both_wrong", counts.both, counts.n),
        measure("expected_both", counts.expected),
        measure("independence", independence(counts)),
        measure("odds_ratio", counts.odds_ratio),
        *(m for name in ("kappa", "capa", "agreement") for m in effect(name, found.get(name), counts.n)),
    ]
    if beyond is not None:
        measures += [measure("panel_odds", beyond[0]), measure("beyond_panel", beyond[1])]
    return Finding(
        f"{CHANNEL}.overlap",
        CHANNEL,
        words(
            "overlap.deviations" if answers.sheet.kind == "transcript" else "overlap.found",
            a=counts.a,
            b=counts.b,
            s=counts.both,
            expected=counts.expected,
            n=counts.n,
        ),
        measures=tuple(measures),
        exhibits=() if counts.both else (_picture(answers, counts),),
        alternatives=(words("alternative.hard_items"), words("alternative.ancestor")),
        limits=(words("limit.independence"),),
    )


def _picture(answers: Answers, counts: Counts) -> Exhibit:
    """Both sides' errors drawn against chance; it stands with the identical errors where there are any."""
    data = {
        "n": counts.n,
        "a": counts.a,
        "b": counts.b,
        "shared": counts.both,
        "identical": counts.identical,
        "expected": counts.expected,
        "labels": [short(answers.name(answers.reference)), short(answers.name(answers.candidate))],
    }
    return Exhibit("overlap", data, words("overlap.caption"))


def _identical(answers: Answers, view: View, panel: tuple[int, ...], counts: Counts) -> Iterator[Finding]:
    s, m = view.counts(answers.candidate)
    keyed = "errors" if answers.units.keyed else "answers"
    what = _WHAT.get(answers.sheet.kind, keyed) if answers.units.keyed else keyed
    pictures = (_picture(answers, counts),) if answers.units.keyed else ()
    exhibits = (*pictures, _table(answers, view, panel))
    alternatives = (words("alternative.tempting"), words("alternative.ancestor"), words("alternative.data"))
    if not panel:
        given = len(answers.panel.kept)
        yield Finding(
            f"{CHANNEL}.identical",
            CHANNEL,
            words(f"identical.alone.{what}", s=s, m=m),
            measures=(measure("both_wrong", s), measure("identical", m, s)),
            exhibits=exhibits,
            alternatives=alternatives,
            limits=(words("limit.panel_right", n=given) if given else words("limit.no_panel"),),
        )
        return
    found = shared_errors(view, answers.candidate, panel)
    others = left_out(view, panel)
    most = max((gamma for _, gamma in others.values()), default=0.0)
    limits = _limits(answers, found, most, len(panel))
    p, scores = rank(view, answers.candidate, panel)
    yield Finding(
        f"{CHANNEL}.identical",
        CHANNEL,
        words(f"identical.found.{what}", s=s, m=m, expected=found.expected, panel=len(panel)),
        bearing=_bearing(found, limits, p, most, bool(answers.panel.strong)),
        strength=_strength(found, limits, keyed),
        measures=(
            measure("both_wrong", s),
            measure("identical", m, s),
            measure("expected_identical", found.expected),
            measure("plug_in", found.log10_plug),
            measure("upper_rate", found.upper),
            measure("worst_case", found.log10_upper),
            measure("rank_p", p, len(panel)),
            measure("gamma", found.gamma),
            measure("panel_gamma", most if others else None),
        ),
        exhibits=exhibits,
        alternatives=alternatives,
        limits=limits,
    )
    rows = [
        [answers.name(j), *view.counts(j), round(scores[j], 2), *_told(others.get(j))]
        for j in sorted(scores, key=lambda j: -scores[j])
    ]
    yield Finding(
        f"{CHANNEL}.rank",
        CHANNEL,
        words("rank.found", above=round(p * (len(panel) + 1)) - 1, panel=len(panel)),
        bearing=Bearing.CONTEXT,
        strength=strength("exact", math.log10(p), words("null.exchangeable")),
        measures=(measure("rank_p", p, len(panel)),),
        exhibits=(
            table(words("rank.caption"), ("model", "both_wrong", "same", "score", "log10", "gamma"), rows),
        ),
        limits=(words("limit.exchangeable"), words("limit.least_rank", least=1 / (len(panel) + 1))),
    )


def _told(other: tuple[float, float] | None) -> list[float | None]:
    return [None, None] if other is None else [round(other[0], 1), float(f"{other[1]:.2g}")]


def _limits(answers: Answers, found: Shared, most: float, panel: int) -> tuple[Message, ...]:
    """Why the strength is only descriptive; none when the panel's rules are met."""
    limits = []
    if not answers.units.keyed:
        limits.append(words("limit.no_key"))
    if not answers.panel.strong:
        limits.append(words("limit.weak_panel"))
    if found.upper is None or (found.log10_plug <= LEVEL and found.log10_upper is None):
        limits.append(words("limit.no_upper", panel=panel))
    if found.log10_plug <= LEVEL and found.gamma < LEAST_GAMMA:
        limits.append(words("limit.gamma", gamma=found.gamma, least=LEAST_GAMMA))
    elif found.gamma < most:
        limits.append(words("limit.panel_gamma", gamma=found.gamma, most=most))
    return tuple(limits)


def _strength(found: Shared, limits: tuple[Message, ...], keyed: str) -> Strength:
    if limits or found.log10_upper is None:
        return Strength("descriptive")
    return strength("calibrated", found.log10_upper, words(f"null.identical_{keyed}"))


def _bearing(found: Shared, limits: tuple[Message, ...], p: float, most: float, able: bool) -> Bearing:
    """Distinctive when the worst case passes 1e-6 by all the panel's rules; supporting when the plug-in test
    does, with a Γ that no panel model reaches and of at least 3 (30 unless the panel is as ``able`` as both
    sides); against when the candidate repeats no more than the panel although a copy of half the answers
    would have shown (power 95 % at 1e-6)."""
    if found.log10_upper is not None and found.log10_upper <= LEVEL and not limits:
        return Bearing.DISTINCTIVE
    least = max(most, LEAST_GAMMA if able else WEAK_GAMMA)
    if found.log10_plug <= LEVEL and found.gamma > least:
        return Bearing.SUPPORTING
    if p > 0.1 and found.log10_plug > -2 and _would_show(found):
        return Bearing.AGAINST
    return Bearing.CONTEXT


def _would_show(found: Shared) -> bool:
    from apograph.behaviour.power import power_at

    return (
        found.s > 0
        and 0 < found.expected < 0.5 * found.s
        and (power_at(found.s, found.expected / found.s, 0.5, 1e-6) >= 0.95)
    )


def _direction(answers: Answers, counts: Counts) -> Finding:
    found = effects(counts)
    drifted = drift(counts)
    where = "deviations." if answers.sheet.kind == "transcript" else ""
    fewer = "equal"
    if drifted <= SIGN_LEVEL:
        fewer = "reference" if counts.first < counts.second else "candidate"
    return Finding(
        f"{CHANNEL}.direction",
        CHANNEL,
        words(f"direction.{where}{fewer}", first=counts.first, second=counts.second),
        strength=strength("exact", drifted, words("null.drift")),
        measures=(
            *effect("contained_first", found.get("contained_first"), counts.a),
            *effect("contained_second", found.get("contained_second"), counts.b),
        ),
        alternatives=(words("alternative.weaker"),),
        limits=(words("limit.direction"),),
    )


def _table(answers: Answers, view: View, panel: tuple[int, ...]) -> Exhibit:
    """The errors that both sides make alike, those that the panel shares least first."""
    sheet, r, c = answers.units, answers.reference, answers.candidate
    wrong = sheet.valid(r) & ~sheet.right(r) if sheet.keyed else sheet.valid(r)
    units = np.flatnonzero(wrong)
    alike = np.flatnonzero(view.hit[c])
    k, w = (view.hit[list(panel)].sum(axis=0), view.tried[list(panel)].sum(axis=0))
    chances = np.full(len(units), np.nan)
    if panel:
        chances[view.tried[c]] = match_chances(view, c, panel)
        alike = alike[np.argsort(chances[alike], kind="stable")]
    rows = []
    for n in alike[:_ROWS].tolist():
        row = int(units[n])
        said = [sheet.texts[int(sheet.columns[j].codes[row])] for j in (r, c)]
        key = sheet.texts[int(sheet.keys[row])] if sheet.keys[row] >= 0 else None
        if sheet is not answers.sheet:
            key, said = _spelt(said)
        shown = (None if text is None else short(text) for text in (key, *said))
        rows.append([short(sheet.name(row), 40), *shown, f"{k[n]} / {w[n]}" if panel else None])
    caption = words("identical.caption", shown=len(rows), n=len(alike))
    return table(caption, ("item", "key", "reference", "candidate", "panel"), rows)


def _spelt(said: list[str]) -> tuple[str | None, list[str]]:
    """What the right text has, and what two models put there alike ("…" for nothing)."""
    parts = [text.replace("\n", "↵").partition(SEPARATOR) for text in said]
    return parts[0][0] or "…", [put or "…" for _, _, put in parts]
