"""Both sides' events on one axis of time, with the interval that dates the copying as a band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from apograph.report.escape import visible
from apograph.report.figures.cells import LINES, cell, commit, day, first, more, side_name
from apograph.report.markup import element, join
from apograph.report.words import catalogue, say

_DRAWN = 400
_NUMBERED = 24
_SIDES = ("reference", "candidate")
_GAP = 4.5
"""Least distance of two numbers at one level, in percent of the width."""
_LEVELS = 5
_STEP = 20.0
_AXIS = 112.0
_HEIGHT = 232.0
_MARGIN = 4.0
_DAY = 86400.0


class _Event(NamedTuple):
    time: float
    side: str
    label: Any
    kind: str
    revision: str
    number: int | None


class _Axis(NamedTuple):
    """From a time to percent of the width; the figure is drawn in percent and pixels and never scaled."""

    start: float
    end: float

    def x(self, time: float) -> float:
        share = (time - self.start) / (self.end - self.start)
        return _MARGIN + (100.0 - 2 * _MARGIN) * min(max(share, 0.0), 1.0)

    def percent(self, time: float) -> str:
        return f"{self.x(time):.2f}%"


def page(data: Mapping[str, Any], lang: str) -> Markup:
    """The drawing, the interval in words, and the numbered events as a table."""
    events = _events(data)
    numbered = [e for e in events if e.number is not None]
    axis = _axis(events, data.get("interval"))
    drawn, _ = first(events, _DRAWN)
    picture = element(
        "svg",
        *_band(data.get("interval"), axis),
        *_frame(axis, lang),
        *(_tick(e, axis) for e in drawn if e.number is None),
        *_markers(numbered, axis),
        width="100%",
        height=_HEIGHT,
        role="img",
        aria_label=say("report.timeline.alt", lang, n=len(events), start=day(axis.start), end=day(axis.end)),
        class_="timeline",
    )
    left = len(events) - len(numbered)
    return join(
        picture,
        element("p", *_words(data, lang), class_="note"),
        element("ol", *(_entry(e, lang) for e in numbered), class_="events"),
        element("p", say("report.timeline.ticks", lang, n=left), class_="more") if left else None,
    )


def plain(data: Mapping[str, Any], lang: str) -> list[str]:
    """One line per event, in order of time."""
    events, left = first([e for e in _events(data) if e.number is not None], LINES)
    lines = [f"{day(e.time)}  {side_name(e.side, lang)}: {_label(e, lang)}" for e in events]
    left += len(data["events"]) - len(events) - left
    lines += [more(left, lang)] if left else []
    return [*lines, *_words(data, lang)]


def _events(data: Mapping[str, Any]) -> list[_Event]:
    """In order of time; numbered are the telling ones, then commits in even steps from first to last."""
    raw, _ = first(data["events"], 5000)
    ordered = sorted(raw, key=lambda e: (float(e["time"]), str(e["side"]), str(e["label"])))
    telling = [n for n, e in enumerate(ordered) if e.get("kind") != "commit"][:_NUMBERED]
    others = [n for n, e in enumerate(ordered) if e.get("kind") == "commit"]
    room = _NUMBERED - len(telling)
    if len(others) > room:
        others = sorted({others[round(i * (len(others) - 1) / max(room - 1, 1))] for i in range(room)})
    chosen = {n: i for i, n in enumerate(sorted(telling + others), 1)}
    return [
        _Event(
            float(e["time"]),
            str(e["side"]),
            e["label"],
            str(e.get("kind", "")),
            str(e.get("revision") or ""),
            chosen.get(n),
        )
        for n, e in enumerate(ordered)
    ]


def _axis(events: list[_Event], interval: Mapping[str, Any] | None) -> _Axis:
    times = [e.time for e in events]
    if interval:
        times += [float(t) for t in (interval["start"], interval["end"]) if t is not None]
    if not times:
        raise ValueError("a timeline needs a time")
    start, end = min(times), max(times)
    return _Axis(start, end) if end - start >= _DAY else _Axis(start - _DAY / 2, start + _DAY / 2)


def _band(interval: Mapping[str, Any] | None, axis: _Axis) -> Iterator[Markup]:
    if interval:
        start = axis.x(float(interval["start"]))
        end = axis.x(axis.end if interval["end"] is None else float(interval["end"]))
        width = max(end - start, 0.4)
        yield element(
            "rect", x=f"{start:.2f}%", y=4, width=f"{width:.2f}%", height=_HEIGHT - 30, class_="band"
        )


def _frame(axis: _Axis, lang: str) -> Iterator[Markup]:
    """The axis, the names of the two lanes, and four dates."""
    yield element("line", x1="0", x2="100%", y1=_AXIS, y2=_AXIS, class_="axis")
    yield element("text", side_name("reference", lang), x="0", y=14, class_="lane")
    yield element("text", side_name("candidate", lang), x="0", y=_HEIGHT - 30, class_="lane")
    for n, anchor in enumerate(("start", "middle", "middle", "end")):
        time = axis.start + (axis.end - axis.start) * n / 3
        x = axis.percent(time)
        yield element("line", x1=x, x2=x, y1=_AXIS - 4, y2=_AXIS + 4, class_="axis")
        place = {"start": "0", "middle": x, "end": "100%"}[anchor]
        yield element("text", day(time), x=place, y=_HEIGHT - 6, text_anchor=anchor, class_="date")


def _tick(event: _Event, axis: _Axis) -> Markup:
    x = axis.percent(event.time)
    away = -12.0 if event.side == "reference" else 12.0
    return element("line", x1=x, x2=x, y1=_AXIS, y2=_AXIS + away, class_=f"tick {_class(event)}")


def _markers(events: list[_Event], axis: _Axis) -> Iterator[Markup]:
    """Numbered circles; those too near to each other stand further from the axis."""
    last: dict[tuple[str, int], float] = {}
    for event in events:
        lane = _class(event)
        x = axis.x(event.time)
        free = (n for n in range(_LEVELS) if x - last.get((lane, n), -100.0) >= _GAP)
        level = next(free, _LEVELS - 1)
        last[lane, level] = x
        sign = -1.0 if lane == "reference" else 1.0
        y = _AXIS + sign * (14.0 + level * _STEP * 0.9)
        yield element("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=_AXIS, y2=y, class_=f"stem {lane}")
        yield element("circle", cx=f"{x:.2f}%", cy=y, r=9, class_=f"dot {lane} {_shape(event)}")
        yield element("text", event.number, x=f"{x:.2f}%", y=y + 4, text_anchor="middle", class_="count")


def _class(event: _Event) -> str:
    return event.side if event.side in _SIDES else "other"


def _shape(event: _Event) -> str:
    return "plain" if event.kind == "commit" else "telling"


def _label(event: _Event, lang: str) -> str:
    kind = catalogue(lang).get(f"report.event.{event.kind}", visible(event.kind, 40))
    revision = f" ({commit(event.revision)})" if event.revision else ""
    return f"{kind}: {cell(event.label, lang, 120)}{revision}"


def _entry(event: _Event, lang: str) -> Markup:
    side = element("span", side_name(event.side, lang), class_=f"side {_class(event)}")
    return element(
        "li", element("time", day(event.time)), " ", side, " ", _label(event, lang), value=event.number
    )


def _words(data: Mapping[str, Any], lang: str) -> list[str]:
    words = []
    if interval := data.get("interval"):
        end = say("report.timeline.open", lang) if interval["end"] is None else day(interval["end"])
        words.append(say("report.timeline.interval", lang, start=day(interval["start"]), end=end))
        if interval.get("label"):
            words[0] += f" ({cell(interval['label'], lang, 120)})"
        words[0] += ". "
    if data.get("note"):
        words.append(cell(data["note"], lang))
    return words
