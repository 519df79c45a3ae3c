"""Two histories side by side, and the dates of what the one took from the other."""

from __future__ import annotations

from apograph.evidence.history import dating, timeline
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Unexamined
from apograph.weigh.examine import examine
from tests.evidence.fakes import FakeRelease, Step

DAY = 86400
OLD = {f"key_{n}": n for n in range(40)}
NEW = OLD | {"key_0": "changed", "later": True}
SOURCE = """
def fold(columns, width):
    total = 0
    for number, column in enumerate(columns):
        if column.ink > width * 3:
            total += column.ink // (number + 7)
        else:
            total -= min(column.edges) % 11
    return total, [column.name for column in columns if column.ink]
"""
CHANGED = SOURCE.replace("column.ink // (number + 7)", "pow(column.ink, number) - len(columns)").replace(
    "% 11", "/ 2.5"
)
RENAMED = (
    SOURCE.replace("columns", "xs").replace("column", "x").replace("total", "acc").replace("fold", "pack")
)


def reference() -> FakeRelease:
    return FakeRelease(
        steps=[
            Step(10 * DAY, {"settings.json": OLD, "fold.py": SOURCE, "README.md": "hello " * 60}),
            Step(20 * DAY, {"settings.json": NEW}),
            Step(30 * DAY, {"fold.py": CHANGED}),
        ]
    )


def candidate(settings: dict[str, object] = OLD) -> FakeRelease:
    return FakeRelease(steps=[Step(15 * DAY, {"conf/other.json": settings, "pack.py": RENAMED})])


def of(case: Case, side: str = "candidate") -> Finding:
    return next(f for f in dating(case) if isinstance(f, Finding) and f.id == f"history.dating:{side}")


def test_the_interval_in_which_all_states_were_current() -> None:
    finding = of(Case(reference(), candidate()))
    interval = finding.exhibits[0].data["interval"]
    assert (interval["start"], interval["end"]) == (10 * DAY, 20 * DAY)
    assert finding.bearing is Bearing.SUPPORTING
    rows = {row[0]: row for row in finding.exhibits[1].data["rows"]}
    assert rows["conf/other.json"][1] == "settings.json"
    assert rows["conf/other.json"][3] == 1.0
    assert rows["conf/other.json"][-2:] == ["1970-01-11", "1970-01-21"]
    assert rows["pack.py"][1] == "fold.py"
    assert rows["pack.py"][3] == 1.0, "renaming changes nothing"
    assert rows["pack.py"][-2:] == ["1970-01-11", "1970-01-31"]


def test_the_later_state_dates_later() -> None:
    interval = of(Case(reference(), candidate(NEW))).exhibits[0].data["interval"]
    assert (interval["start"], interval["end"]) == (20 * DAY, 30 * DAY)


def test_intervals_that_do_not_overlap_say_so() -> None:
    other = FakeRelease(steps=[Step(40 * DAY, {"a.json": OLD, "fold.py": CHANGED})])
    finding = of(Case(reference(), other))
    assert finding.message.key == "history.dating.conflict"
    assert finding.bearing is Bearing.CONTEXT
    assert finding.exhibits[0].data["interval"] is None


def test_what_a_base_has_is_set_aside() -> None:
    base = FakeRelease({"base.json": OLD, "base.py": SOURCE})
    assert list(dating(Case(reference(), candidate(), bases=(base,)))) == []
    only_json = of(Case(reference(), candidate(), bases=(FakeRelease({"base.json": OLD}),)))
    assert [row[0] for row in only_json.exhibits[1].data["rows"]] == ["pack.py"]


def test_a_side_without_history_is_named_once() -> None:
    plain = FakeRelease({"a.json": OLD, "a.py": SOURCE})
    assert not any(isinstance(r, Unexamined) for r in dating(Case(plain, candidate())))
    report = examine(Case(plain, candidate()), only=("history",))
    assert [(g.reason.key, g.side) for g in report.unexamined] == [("examine.lacks.history", "reference")]


def test_swapping_the_sides_mirrors() -> None:
    here, there = of(Case(reference(), candidate())), of(Case(candidate(), reference()), "reference")
    assert here.measures == there.measures
    assert here.exhibits[1].data == there.exhibits[1].data


def test_the_timeline_names_the_first() -> None:
    (finding,) = [f for f in timeline(Case(reference(), candidate())) if isinstance(f, Finding)]
    assert finding.message.key == "history.timeline.reference"
    (mirrored,) = [f for f in timeline(Case(candidate(), reference())) if isinstance(f, Finding)]
    assert mirrored.message.key == "history.timeline.candidate"
    assert len(finding.exhibits[0].data["events"]) == 4
    assert finding.bearing is Bearing.CONTEXT
