"""A report on a terminal: the answer first, then what it rests on, in 80 columns or fewer."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from apograph.findings import Bearing, Finding, ReleaseInfo, Report
from apograph.report import coverage, figures, view
from apograph.report.escape import visible
from apograph.report.figures.cells import side_name
from apograph.report.sentence import sentence
from apograph.report.words import say

_WIDEST = 100
_SHOWN = 12
_PLACES = 3
_STYLES = {
    Bearing.DISTINCTIVE: "bold magenta",
    Bearing.SUPPORTING: "yellow",
    Bearing.AGAINST: "green",
    Bearing.CONTEXT: "dim",
}
_SIDES = {"reference": "blue", "candidate": "dark_orange3"}


def show(report: Report, *, verbose: bool = False, lang: str = "en", console: Console | None = None) -> None:
    """Print the report on standard output; ``verbose`` unfolds exhibits, explanations and limits."""
    if console is None:
        console = Console(markup=False, highlight=False, emoji=False)
        console.width = min(console.width, _WIDEST)
    with console.capture() as page:
        for part in _parts(report, verbose, lang):
            console.print(part)
    # Columns are padded with spaces, which nobody wants in a file.
    console.file.write("".join(f"{line.rstrip()}\n" for line in page.get().splitlines()))


def one_line(report: Report, lang: str = "en") -> str:
    """The conclusion in one plain sentence."""
    return sentence(report.conclusion.sentence, lang)


def _parts(report: Report, verbose: bool, lang: str) -> Iterator[RenderableType]:
    yield from _conclusion(report, lang)
    for role in ("reference", "candidate"):
        yield from (_release(r, lang) for r in report.releases if r.role == role)
    yield from (_release(r, lang) for r in report.releases if r.role not in _SIDES)
    yield from _explained(report, lang)
    for channel in view.channels(report, lang):
        yield Text(f"\n{channel.title}", style="bold")
        shown = channel.findings if verbose else channel.findings[:_SHOWN]
        yield from (_finding(finding, verbose, lang) for finding in shown)
        if len(channel.findings) > len(shown):
            yield _beside(
                "", Text(say("report.more", lang, n=len(channel.findings) - len(shown)), style="dim")
            )
    yield from _unexamined(report, verbose, lang)
    yield Text(f"\n{say('report.standing.intent', lang)}")


def _conclusion(report: Report, lang: str) -> Iterator[RenderableType]:
    answer = report.conclusion
    yield Text(one_line(report, lang), style="bold")
    yield Text()
    if answer.source is not None:
        direction = say("report.source", lang, side=say(f"report.role.{answer.source}", lang))
    else:
        direction = say("report.direction_unknown", lang)
    if answer.direction_basis is not None:
        direction += f" ({sentence(answer.direction_basis, lang)})"
    rows = [("relation", say(f"relation.{answer.relation}", lang))]
    if answer.relation != "independent":
        rows.append(("direction", direction))
    if answer.basis:
        told = ", ".join(view.title(id, lang) for id in answer.basis[:_SHOWN])
        left = len(answer.basis) - _SHOWN
        rows.append(("basis", f"{told} {say('report.more', lang, n=left)}" if left > 0 else told))
    rows.append(("strength", view.conclusion_strength(answer, lang)))
    rows.append(("unseen", coverage.unseen(report, lang)))
    for name, value in rows:
        yield _beside(say(f"report.heading.{name}", lang), Text(value))
    for number, note in enumerate(answer.notes):
        heading = "" if number else say("report.heading.notes", lang)
        yield _beside(heading, Text(sentence(note, lang), style="dim"))
    yield Text()


def _release(release: ReleaseInfo, lang: str) -> RenderableType:
    """Name, then kind, revision, dates, size and digest in short form."""
    brief = {"revision": 12, "revision_date": 10, "first_date": 10, "digest": 12}
    told = [
        value if name == "kind" else f"{word} {value[: brief.get(name)]}"
        for name, word, value in view.facts(release, lang)
    ]
    role = Text(side_name(release.role, lang), style=_SIDES.get(release.role, ""))
    name = Text(visible(release.ref, 200), style="bold")
    return _beside(role, Group(name, Text("; ".join(told), style="dim")))


def _explained(report: Report, lang: str) -> Iterator[RenderableType]:
    rows = view.explained(report, lang)
    if rows:
        yield Text(f"\n{say('report.heading.explained', lang)}", style="bold")
    for row in rows[:_SHOWN]:
        told = say(
            "report.explained.line",
            lang,
            finding=view.title(row.finding.id, lang),
            shared="–" if row.shared is None else row.shared,
            base=row.base,
            claimed=row.claimed,
            beyond=row.beyond,
        )
        yield _beside("", Text(told))
    if len(rows) > _SHOWN:
        yield _beside("", Text(say("report.more", lang, n=len(rows) - _SHOWN), style="dim"))


def _finding(finding: Finding, verbose: bool, lang: str) -> RenderableType:
    word = Text(say(f"report.bearing.{finding.bearing.value}", lang), style=_STYLES[finding.bearing])
    told: list[RenderableType] = [Text(sentence(finding.message, lang))]
    if verbose:
        told += _unfolded(finding, lang)
    return _beside(word, Group(*told))


def _unfolded(finding: Finding, lang: str) -> Iterator[RenderableType]:
    for measure in finding.measures:
        yield Text(": ".join(view.measure(measure, lang)))
    if (strength := view.strength(finding.strength, lang)) is not None:
        yield Text(strength)
    for exhibit in finding.exhibits:
        columns = exhibit.kind in ("table", "heatmap", "matrix")  # cut, since wrapped they could not be read
        lines = [Text(line, no_wrap=columns, overflow="ellipsis") for line in figures.plain(exhibit, lang)]
        yield Text(sentence(exhibit.caption, lang), style="italic")
        yield Padding(Group(*lines), (0, 0, 0, 2))
    for name, messages in (("alternatives", finding.alternatives), ("limits", finding.limits)):
        if messages:
            yield Text(f"{say(f'report.heading.{name}', lang)}:", style="italic")
            yield from (Padding(Text(sentence(m, lang)), (0, 0, 0, 2)) for m in messages)
    yield from (Text(view.location(place, lang), style="dim") for place in finding.locations[:_SHOWN])
    yield Text(f"{say('report.id', lang)} {visible(finding.id, 120)}", style="dim")


def _unexamined(report: Report, verbose: bool, lang: str) -> Iterator[RenderableType]:
    yield Text(f"\n{say('report.heading.unexamined', lang)}", style="bold")
    gaps = coverage.gaps(report, lang)
    if not gaps:
        yield _beside("", Text(coverage.unseen(report, lang)))
    shown = gaps if verbose else gaps[:_SHOWN]
    for gap in shown:
        where = gap.where(len(gap.places) if verbose else _PLACES, lang)
        told = say("report.at", lang, place=where, reason=gap.reason) if where else gap.reason
        yield _beside(gap.title, Text(told, style="" if gap.fault else "dim"))
    if len(gaps) > len(shown):
        yield _beside("", Text(say("report.more", lang, n=len(gaps) - len(shown)), style="dim"))


def _beside(word: str | Text, content: RenderableType) -> Table:
    """A word in a narrow column, its content beside it."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=14, overflow="ellipsis", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_row(word, content)
    return grid
