"""The glyph experiment with hardly trained models: every file of it, and who is whose panel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apograph.lab.vision import experiment, family
from apograph.lab.vision.read import CACHED
from apograph.report.html import render


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LONGER", 2), ("LONG", 2), ("SHORT", 1), ("TUNED", 1)):
        monkeypatch.setattr(family, name, value)
    everybody = family.trained

    def few(base: Path) -> tuple[family.Member, ...]:
        kept = ("reference", "peer-1", "cousin-1", "stranger-1")
        return tuple(member for member in everybody(base) if member.name in kept)

    monkeypatch.setattr(experiment, "trained", few)
    monkeypatch.setattr(experiment, "SLIPS", 6)
    monkeypatch.setattr(experiment, "NOISE_SEEDS", 1)


@pytest.mark.usefixtures("small")
def test_from_training_to_the_report(tmp_path: Path) -> None:
    models = experiment.make_models(tmp_path / "models", CACHED, 1, lambda *_: None)
    assert set(models.panel) == {"peer-1", "cousin-1", "stranger-1"}
    asked = experiment.ask_everybody(models, tmp_path, lambda *_: None)
    assert [(one.kind, one.count) for one in asked] == [("slip", 6), ("screen", 3)]
    rows = [json.loads(line) for line in asked[0].files["candidate"].read_text("utf-8").splitlines()]
    assert {row["model"] for row in rows} == {"candidate"}
    assert len({row["item_hash"] for row in rows}) == 6
    assert (tmp_path / "items" / "slips.commitment.json").is_file()
    for one in asked:
        summary = list(experiment.summary(one, models))
        assert [row["model"] for row in summary] == [*models.copies, *models.panel]
        found = experiment.reports(one, models)
        roles = [info.role for info in found["candidate"].releases]
        assert roles == ["reference", "candidate", *["panel"] * 3, "noised"]
        assert b"<html" in render(found["matrix"], "en")


def test_everybody_but_the_copies_is_trained_apart() -> None:
    members = family.trained(CACHED)
    assert len({member.seed for member in members}) == len(members)
    assert {member.school for member in members if member.kind in ("reference", "peer")} == {0}
    assert all(member.school != 0 for member in members if member.kind in ("cousin", "stranger"))
    assert all((member.start is None) == (member.kind == "stranger") for member in members)


def test_nobody_is_trained_on_the_drawings_of_the_test() -> None:
    one, two = dict(family.items(4, 0)), dict(family.items(4, 0))
    assert list(one) == ["slip-000", "slip-001", "slip-002", "slip-003", "screen-000", "screen-001"]
    assert all(one[name].image.tobytes() == two[name].image.tobytes() for name in one)
