"""Small releases and examiners for the commands: no real release is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from apograph.evidence.registry import Case, Examiner, Part
from apograph.findings import Bearing, Finding, Message, Refusal, Unexamined
from apograph.weigh import examine
from tests.evidence.fakes import FakeRelease


class World:
    """What the commands find: ``releases`` by name; ``gaps`` and ``extra`` findings of the one examiner."""

    def __init__(self) -> None:
        self.releases = {
            name: FakeRelease({"README.md": name}, ref=name)
            for name in ("a", "b", "base", "claimed", "panel")
        }
        self.asked: dict[str, Any] = {}
        self.bearing = Bearing.SUPPORTING
        self.gaps: list[Unexamined] = []
        self.late: tuple[Unexamined, ...] = ()
        self.wait: Callable[[], None] = lambda: None

    def open(self, ref: str, **_: object) -> FakeRelease:
        if ref not in self.releases:
            raise Refusal(4, Message("report.file", {"reason": "none"}), ref)
        return self.releases[ref]

    def open_case(self, reference: str, candidate: str, **more: Any) -> tuple[Case, tuple[Unexamined, ...]]:
        self.asked = {"reference": reference, "candidate": candidate, **more}
        others = {role: tuple(map(self.open, more[role])) for role in ("bases", "claimed", "panel")}
        return Case(self.open(reference), self.open(candidate), **others), self.late

    def examiner(self, case: Case) -> Iterator[Finding | Unexamined]:
        self.wait()
        yield Finding(
            "history.timeline",
            "history",
            Message("cli.error.usage", {"reason": case.candidate.ref}),
            self.bearing,
        )
        yield from self.gaps


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which ``compare`` and ``verify`` run."""
    world = World()
    opener = ModuleType("apograph.weigh.case")
    opener.open_case = world.open_case  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apograph.weigh.case", opener)
    monkeypatch.setattr("apograph.release.open_release", world.open)
    only = Examiner("history.timeline", "history", Part.NOTHING, world.examiner)
    monkeypatch.setattr(examine, "all_examiners", lambda: (only,))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return world
