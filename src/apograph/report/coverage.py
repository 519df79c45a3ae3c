"""What was not examined: in one line beside the answer, and as a list in which equal reasons stand once."""

from __future__ import annotations

from dataclasses import dataclass

from apograph.findings import Report
from apograph.report.escape import visible
from apograph.report.figures.cells import first, more, side_name
from apograph.report.sentence import sentence
from apograph.report.view import channel_title
from apograph.report.words import catalogue, say

CONTENTS = "release"
"""The channel of files whose content could not be had: some of a release, never the whole."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One reason for which something of a channel was not examined, and where."""

    title: str
    reason: str
    fault: bool
    places: tuple[tuple[str, str], ...]
    """Side, as the report names it, and path; either may be empty."""

    def where(self, limit: int, lang: str) -> str:
        """The places by side, at most ``limit`` of them."""
        shown, left = first(self.places, limit)
        by_side: dict[str, list[str]] = {}
        for side, path in shown:
            by_side.setdefault(side, []).extend([visible(path, 160)] if path else [])
        if not any(by_side.values()):
            told = ", ".join(side_name(side, lang) for side in by_side if side)
        else:
            told = "; ".join(
                ": ".join(filter(None, (side_name(s, lang), ", ".join(p)))) for s, p in by_side.items()
            )
        return f"{told} {more(left, lang)}" if left else told


def gaps(report: Report, lang: str) -> list[Gap]:
    """What was not examined, errors and limits first; equal reasons of one channel stand together."""
    grouped: dict[tuple[bool, str, str], dict[tuple[str, str], None]] = {}
    for gap in sorted(report.unexamined, key=lambda gap: not gap.fault):
        key = (gap.fault, channel_title(gap.examiner, lang), sentence(gap.reason, lang))
        grouped.setdefault(key, {})[gap.side, gap.path] = None
    return [Gap(title, reason, fault, tuple(places)) for (fault, title, reason), places in grouped.items()]


def unseen(report: Report, lang: str) -> str:
    """In one line: the kinds of evidence that were not examined, in whole or in part, or found nothing."""
    only = [name for name in str(report.settings.get("only", "")).split(",") if name]
    known = [key.removeprefix("channel.") for key in catalogue(lang) if key.startswith("channel.")]
    found = {finding.channel for finding in report.findings}
    lacking = dict.fromkeys(gap.examiner for gap in report.unexamined)
    told = {
        "only": only,
        "whole": [name for name in lacking if name not in found and name != CONTENTS],
        "part": [name for name in lacking if name in found or name == CONTENTS],
        "none": [n for n in only or known if n not in found and n not in lacking and n != CONTENTS],
    }
    lines = [
        say(f"report.unseen.{kind}", lang, list=", ".join(sorted(visible(name, 60) for name in names)))
        for kind, names in told.items()
        if names
    ]
    return "; ".join(lines) if lines else say("report.all_examined", lang)
