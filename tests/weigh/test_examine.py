"""One walk over a case: what is run, what is lacking, what failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apograph.evidence.registry import Case, Examiner, Part
from apograph.findings import Finding, Message, Refusal
from apograph.weigh.examine import examine
from tests.evidence.fakes import FakeRelease

ONE = FakeRelease({"config.json": {"model_type": "a", "layers": 3}}, ref="one")
OTHER = FakeRelease({"config.json": {"model_type": "b", "layers": 4}}, ref="other")


def test_what_a_side_lacks_is_named() -> None:
    report = examine(Case(ONE, OTHER), only=["code"])
    assert {(u.reason.key, u.side) for u in report.unexamined} == {
        ("examine.lacks.code", "reference"),
        ("examine.lacks.code", "candidate"),
    }
    assert report.conclusion.relation == "undetermined"


def test_a_panel_is_named() -> None:
    report = examine(Case(ONE, OTHER, panel=(FakeRelease(ref="third"),)), only=["config"])
    assert [r.ref for r in report.releases if r.role == "panel"] == ["third"]


@pytest.mark.parametrize(
    ("error", "key", "code"), [(MemoryError(), "cli.error.memory", 5), (ValueError("x"), "examine.failed", 2)]
)
def test_an_examiner_that_fails_is_named_and_keeps_what_it_found(
    monkeypatch: pytest.MonkeyPatch, error: Exception, key: str, code: int
) -> None:
    monkeypatch.delenv("APOGRAPH_DEBUG", raising=False)

    def failing(_: Case) -> Iterator[Finding]:
        yield Finding("config.values", "config", Message("config.values.none"))
        raise error

    monkeypatch.setattr(
        "apograph.weigh.examine.all_examiners",
        lambda: (Examiner("config.failing", "config", Part.NOTHING, failing),),
    )
    report = examine(Case(ONE, OTHER))
    assert [f.id for f in report.findings] == ["config.values"]
    assert [(u.reason.key, u.fault, u.code) for u in report.unexamined] == [(key, True, code)]


def test_an_unknown_channel_is_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        examine(Case(ONE, OTHER), only=["colour"])
    assert refusal.value.code == 4


def test_a_release_against_itself_is_identical() -> None:
    assert examine(Case(ONE, ONE), only=["config", "files"]).conclusion.relation == "identical"
