"""What every renderer shows of a report, in the order in which it is shown, as safe sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from apograph.findings import Bearing, Conclusion, Finding, Location, Measure, ReleaseInfo, Report, Strength
from apograph.report.escape import visible
from apograph.report.figures.cells import commit, side_name
from apograph.report.sentence import sentence
from apograph.report.words import catalogue, percent, say
from apograph.weigh.evalues import CHANCE

SHARE = "share"
"""The unit of a measure that is a part of 1."""
STRONGEST_FIRST = (Bearing.DISTINCTIVE, Bearing.SUPPORTING, Bearing.AGAINST, Bearing.CONTEXT)


@dataclass(frozen=True, slots=True)
class Channel:
    """The findings of one channel, strongest first; ``title`` is its name in words."""

    name: str
    title: str
    findings: tuple[Finding, ...]

    @property
    def bearing(self) -> Bearing:
        """The strongest bearing among the findings."""
        return self.findings[0].bearing


@dataclass(frozen=True, slots=True)
class Explained:
    """How much of what both sides share a base, the claimed source and nothing given explains."""

    finding: Finding
    shared: int | None
    base: str
    claimed: str
    beyond: str


def explained(report: Report, lang: str) -> list[Explained]:
    """A row for every finding that counted what bases and claimed sources explain."""
    rows = []
    for finding in report.findings:
        found = {measure.name: measure for measure in finding.measures}
        told = {name: number(m.value, lang) for name, m in found.items()}
        if {"explain.beyond", "explain.base", "explain.claimed"} <= found.keys():
            rows.append(
                Explained(
                    finding,
                    found["explain.beyond"].n,
                    told["explain.base"],
                    told["explain.claimed"],
                    told["explain.beyond"],
                )
            )
    return rows


def channels(report: Report, lang: str) -> list[Channel]:
    """The channel with the strongest finding first; equal ones as the report first names them."""
    grouped: dict[str, list[Finding]] = {}
    for finding in report.findings:
        grouped.setdefault(finding.channel, []).append(finding)
    found = [
        Channel(name, channel_title(name, lang), tuple(sorted(of_it, key=_rank)))
        for name, of_it in grouped.items()
    ]
    return sorted(found, key=lambda channel: _rank(channel.findings[0]))


def _rank(finding: Finding) -> int:
    return STRONGEST_FIRST.index(finding.bearing)


def channel_title(name: str, lang: str) -> str:
    """A channel's name in words; an unknown one by its own name."""
    return catalogue(lang).get(f"channel.{name}", visible(name, 60))


def title(finding: str, lang: str) -> str:
    """The short name of a finding by its id, where the catalogue has one, else the id."""
    return _told(finding, "title", lang) or visible(finding, 60)


def meaning(finding: str, lang: str) -> str | None:
    """What ``apograph explain`` says of a finding, by its id."""
    return _told(finding, "explain", lang)


def _told(finding: str, what: str, lang: str) -> str | None:
    """The entry of a kind of finding, else that of its channel."""
    words, name = catalogue(lang), finding.partition(":")[0]
    return words.get(f"{name}.{what}") or words.get(f"{name.partition('.')[0]}.{what}")


def measure(value: Measure, lang: str) -> tuple[str, str]:
    """A measure's name in words and its value with unit, number of cases and interval."""
    name = catalogue(lang).get(f"measure.{value.name}", visible(value.name, 80))
    told, n = number(value.value, lang, value.unit), value.n
    if isinstance(value.value, int) and n is not None and n >= value.value:
        told, n = say("report.of", lang, value=told, n=n), None
    if value.unit and value.unit != SHARE:
        told += " " + catalogue(lang).get(f"unit.{value.unit}", visible(value.unit, 20))
    beside = []
    if value.interval is not None:
        low, high = (number(bound, lang, value.unit) for bound in value.interval)
        beside.append(say("report.interval", lang, low=low, high=high))
    if n is not None:
        beside.append(say("report.cases", lang, n=n))
    return name, f"{told} ({', '.join(beside)})" if beside else told


def number(value: float | int | str | None, lang: str, unit: str = "") -> str:
    """A measured value as it is read: shares in per cent, whole numbers grouped, others with four digits."""
    if value is None:
        return say("report.undefined", lang)
    if isinstance(value, str):
        return visible(value, 120)
    if isinstance(value, int):
        return f"{value:,}"
    return percent(value) if unit == SHARE else f"{value:.4g}"


def size(count: int) -> str:
    """Bytes in the unit that reads best (powers of 1000)."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} TB"


def strength(value: Strength, lang: str) -> str | None:
    """The sentence of a probability with its null hypothesis; None where there is none, or chance explains
    the result."""
    if value.log10_p is None or value.log10_p > math.log10(CHANCE):
        return None
    null = sentence(value.null, lang) if value.null is not None else say("report.strength.null", lang)
    return say("report.strength.p", lang, null=null, n=round(-value.log10_p), kind=value.kind)


def conclusion_strength(answer: Conclusion, lang: str) -> str:
    """How far the conclusion can be relied on, in one sentence: there always is one."""
    if answer.relation == "identical":
        return say("report.strength.equal", lang)
    kind = "descriptive" if answer.strength.log10_p is None else "chance"
    return strength(answer.strength, lang) or say(f"report.strength.{kind}", lang)


def location(value: Location, lang: str) -> str:
    """Side, path, lines and revision of a place."""
    place = visible(value.path, 200)
    if value.start is not None and value.end is not None and value.end != value.start:
        place = say("report.lines", lang, path=place, start=value.start, end=value.end)
    elif value.start is not None:
        place = say("report.line", lang, path=place, start=value.start)
    revision = f" @ {commit(value.revision)}" if value.revision else ""
    return f"{side_name(value.side, lang)}: {place}{revision}"


def facts(release: ReleaseInfo, lang: str) -> list[tuple[str, str, str]]:
    """What is known of a release: name of the fact, its word, its value."""
    told = [
        ("kind", catalogue(lang).get(f"report.kind.{release.kind}", visible(release.kind, 40))),
        ("revision", visible(release.revision, 64) if release.revision else None),
        ("revision_date", date(release.revision_date)),
        ("first_date", date(release.first_date)),
        ("files", say("report.files", lang, n=release.files, size=size(release.size))),
        ("tensors", None if release.tensors is None else f"{release.tensors:,}"),
        ("digest", visible(release.digest, 64)),
        ("note", None if release.note is None else sentence(release.note, lang)),
    ]
    return [(name, say(f"report.fact.{name}", lang), value) for name, value in told if value]


def date(value: str | None) -> str | None:
    """An ISO date and time as one reads it."""
    return None if value is None else visible(value, 40).replace("T", " ").replace("Z", " UTC")
