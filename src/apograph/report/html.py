"""A report as one page: a single file, without scripts or network, that prints and fits a phone."""

from __future__ import annotations

import base64
from functools import partial
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from apograph.findings import Finding, Report
from apograph.report import coverage, figures, json_format, view
from apograph.report.escape import visible
from apograph.report.figures.cells import side_name
from apograph.report.sentence import sentence
from apograph.report.words import say

LARGEST = 10_000_000
"""No page is larger than this, in bytes."""
_FOR_FINDINGS = 8_500_000
"""Bytes that the findings may take; every other part of the page is bounded by its number of lines."""
_LINES = 300
_PLACES = 12


def render(report: Report, lang: str = "en") -> bytes:
    """The page as UTF-8. A report and its saved copy give the same bytes."""
    saved = json_format.dumps(report)
    report = json_format.loads(saved)
    environment = _environment(lang)
    style = (files("apograph.report") / "templates" / "page.css").read_text("utf-8")
    room = _Room(environment, lang)
    sections = [(channel, room.show(channel)) for channel in view.channels(report, lang)]
    page = environment.get_template("page.html.jinja").render(
        report=report,
        sections=sections,
        anchors=room.anchors,
        explained=view.explained(report, lang),
        left=room.left,
        gaps=coverage.gaps(report, lang),
        unseen=coverage.unseen(report, lang),
        style=Markup(style),
        style_hash=base64.b64encode(sha256(style.encode()).digest()).decode(),
        json_hash=sha256(saved).hexdigest(),
        sides=[r for r in report.releases if r.role in ("reference", "candidate")],
        others=[r for r in report.releases if r.role not in ("reference", "candidate")],
    )
    return page.encode("utf-8")


class _Room:
    """Renders findings as long as the page has room for them."""

    def __init__(self, environment: Environment, lang: str) -> None:
        self._template = environment.get_template("finding.html.jinja")
        self._lang = lang
        self._bytes = _FOR_FINDINGS
        self.anchors: dict[str, str] = {}
        self.left = 0

    def show(self, channel: view.Channel) -> list[Markup]:
        """The findings of a channel; those for which there is no room are counted in ``left``."""
        return [article for finding in channel.findings if (article := self._article(finding)) is not None]

    def _article(self, finding: Finding) -> Markup | None:
        """The finding with its exhibits, or without them, or None once one found no room at all."""
        if self.left:
            self.left += 1
            return None
        anchor = f"finding-{len(self.anchors) + 1}"
        drawn = [(exhibit.caption, figures.page(exhibit, self._lang)) for exhibit in finding.exhibits]
        for exhibits in (drawn, []):
            article = self._template.render(finding=finding, anchor=anchor, exhibits=exhibits)
            length = len(article.encode("utf-8"))
            if length <= self._bytes:
                self._bytes -= length
                self.anchors[finding.id] = anchor
                return Markup(article)
        self.left = 1
        return None


def _environment(lang: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("apograph.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        say=lambda key, **params: say(key, lang, **params),
        sentence=partial(sentence, lang=lang),
        measure=partial(view.measure, lang=lang),
        strength=partial(view.strength, lang=lang),
        conclusion_strength=partial(view.conclusion_strength, lang=lang),
        lang=lang,
        location=partial(view.location, lang=lang),
        facts=partial(view.facts, lang=lang),
        title=partial(view.title, lang=lang),
        meaning=partial(view.meaning, lang=lang),
        side_name=partial(side_name, lang=lang),
        date=view.date,
        short=visible,
        places=_PLACES,
        lines=_LINES,
    )
    return environment


def _visible(value: Any) -> Any:
    return value if isinstance(value, Markup) else visible(str(value))
