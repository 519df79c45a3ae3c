"""What the renderers are told: order, numbers, and words with fallbacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apograph.findings import Bearing, Location, Measure, Message, Strength
from apograph.report import view
from tests.report.sample import report


def test_strongest_first_between_and_within_channels() -> None:
    sample = report().findings[0]
    bearings = [
        ("a", Bearing.CONTEXT),
        ("b", Bearing.SUPPORTING),
        ("a", Bearing.AGAINST),
        ("c", Bearing.CONTEXT),
        ("d", Bearing.DISTINCTIVE),
        ("b", Bearing.DISTINCTIVE),
    ]
    findings = tuple(replace(sample, channel=c, bearing=b, id=str(n)) for n, (c, b) in enumerate(bearings))
    told = [
        (c.name, [f.id for f in c.findings])
        for c in view.channels(replace(report(), findings=findings), "en")
    ]
    assert told == [("b", ["5", "1"]), ("d", ["4"]), ("a", ["2", "0"]), ("c", ["3"])]
    assert view.channels(report(), "en")[0].bearing is Bearing.DISTINCTIVE


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        (Measure("no.such", 0.123456), ("no.such", "0.1235")),
        (Measure("no.such", 1234567), ("no.such", "1,234,567")),
        (Measure("no.such", None), ("no.such", "undefined")),
        (Measure("no\x1b", "\x1b", "\x1b"), ("no\\x1b", "\\x1b \\x1b")),
        (Measure("explain.base", 3, "", 12), ("Shared, and in a base", "3 of 12")),
        (Measure("x", 5, "bytes", 1200), ("x", "5 of 1,200 bytes")),
        (Measure("x", 3, n=2), ("x", "3 (n = 2)")),
        (Measure("x", 0.6057, "share"), ("x", "60.6%")),
        (Measure("x", 1.0, "share", 64), ("x", "100.0% (n = 64)")),
        (Measure("x", 0.9999, "share", 4, (1e-9, 0.5)), ("x", ">99.9% (<0.1% to 50.0%, n = 4)")),
        (Measure("x", 0.5, "bytes", 4, (0.25, 1e-9)), ("x", "0.5 bytes (0.25 to 1e-09, n = 4)")),
    ],
)
def test_measure(measure: Measure, told: tuple[str, str]) -> None:
    name, value = view.measure(measure, "en")
    assert (name.lower(), value) == (told[0].lower(), told[1])


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (17_061_498_368, "17.1 GB")]
)
def test_size(count: int, told: str) -> None:
    assert view.size(count) == told


def test_a_probability_states_its_null() -> None:
    assert view.strength(Strength("descriptive"), "en") is None
    assert view.strength(Strength("exact", -0.2), "en") is None, "chance explains it"
    assert view.strength(Strength("exact", -1.31), "en") is not None
    assert view.strength(Strength("exact", -7.3), "en") == (
        "If the two had been trained independently, a result at least this extreme would occur "
        "about once in 10^7 (exact)."
    )
    null = Message("cli.error.byte", {"n": 3})
    assert str(view.strength(Strength("exact", -2.0, null), "en")).startswith("If byte 3, a result")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (Location("reference", "a.py", "ab" * 20, 3, 9), "reference: a.py, lines 3–9 @ abababababab"),
        (Location("candidate", "a\n", None, 3, 3), "candidate: a\\n, line 3"),
        (Location("base", "a"), "base: a"),
        (Location("\x1b", "a"), "\\x1b: a"),
    ],
)
def test_location(place: Location, told: str) -> None:
    assert view.location(place, "en") == told


def test_titles_and_meanings_follow_the_id_without_its_detail() -> None:
    assert view.title("history.timeline:x", "en") == view.title("history.timeline", "en") == "Timeline"
    assert view.title("no.such:\x1b", "en") == "no.such:\\x1b"
    assert view.meaning("no.such", "en") is None
    assert "axis" in str(view.meaning("history.timeline:x", "en"))
