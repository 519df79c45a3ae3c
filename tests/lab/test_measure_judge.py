"""What counts as right, and what as a false accusation."""

from __future__ import annotations

import pytest

from apograph.lab.manifest import Truth
from apograph.lab.measure.judge import coin_score, direction, score, verdict

STRANGERS = Truth("independent")
COPY = Truth("copy or derivative", "a")
COUSINS = Truth("common ancestor", bases=("c",))


@pytest.mark.parametrize(
    ("said", "truth", "base", "wanted"),
    [
        ("independent", STRANGERS, False, "right"),
        ("common origin", STRANGERS, False, "accused"),
        ("undetermined", STRANGERS, False, "abstained"),
        (None, COPY, False, "abstained"),
        ("common origin", COPY, False, "right"),
        ("common origin", COPY, True, "less"),
        ("copy or derivative", COPY, True, "right"),
        ("identical", COPY, False, "wrong"),
        ("independent", COPY, False, "missed"),
        ("copy or derivative", COUSINS, True, "accused"),
        ("common ancestor", COUSINS, True, "right"),
        ("same initialisation or derivative", COUSINS, True, "less"),
        ("independent", Truth("common ancestor", shared=("x",)), True, "right"),
    ],
)
def test_verdict(said: str | None, truth: Truth, base: bool, wanted: str) -> None:
    assert verdict(said, truth, base) == wanted


def test_direction() -> None:
    row = {"reference": "a", "candidate": "b", "arrows": {"x": "reference", "y": "reference"}}
    assert direction(row, COPY) == "right"
    assert direction(row, Truth("copy or derivative", "b")) == "wrong"
    assert direction(row, COUSINS) == "false"
    assert direction({**row, "arrows": {"x": "reference", "y": "candidate"}}, COPY) == "abstained"


def test_scores() -> None:
    row = {"relation": "undetermined", "measures": {"weights.coins coins_ratio": 2.0}, "log10_p": {}}
    assert score(row) == 1.5
    assert coin_score(row) == 0
    assert coin_score({"log10_p": {"weights.coins": -7.0}}) == 7
