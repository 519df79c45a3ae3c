"""The pictures of answers: overlap of errors, matrix of models."""

import pytest

from apograph.findings import Exhibit, Message
from apograph.report.figures import FIGURES, matrix, overlap, page, plain
from tests.report.sample import exhibits


def test_overlap_says_its_figures() -> None:
    told = overlap.plain(exhibits()["overlap"], "en")
    assert "236 errors, 182 of them shared (77.1%)" in told[0]
    assert "194 errors, 182 of them shared (93.8%)" in told[1]
    assert "118 of 182" in told[2]
    assert "45.8" in told[3]


def test_overlap_is_drawn_to_scale() -> None:
    drawn = str(overlap.page(exhibits()["overlap"], "en"))
    unit = 1000 / (236 + 194 - 182)
    for width in (236, 194, 182, 118, 45.784):
        assert 'width="' + f"{width * unit:.4f}".rstrip("0").rstrip(".") + '"' in drawn


def test_matrix_shades_and_numbers() -> None:
    drawn = str(matrix.page(exhibits()["matrix"], "en"))
    assert drawn.count('class="shade9"') == 2
    assert drawn.count('class="shade1"') == 2
    assert drawn.count('class="self"') == 3
    lines = matrix.plain(exhibits()["matrix"], "en")
    assert lines[1].split() == ["1", "a", "·", "0.90", "0.10"]
    assert lines[2].split() == ["2", "b", "0.90", "·", "–"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("overlap", {}),
        ("overlap", {"a": 1, "b": 1, "shared": 2, "identical": 0, "expected": 0, "n": 9}),
        ("overlap", {"a": 1, "b": 1, "shared": 1, "identical": 0, "expected": float("inf"), "n": 9}),
        ("matrix", {"labels": ["a"], "values": [], "low": 0, "high": 1}),
        ("matrix", {"labels": ["a"], "values": [["x"]], "low": 0, "high": 1}),
        ("matrix", {"labels": ["a"], "values": [[float("nan")]], "low": 0, "high": 1}),
    ],
)
def test_misfits_are_refused_and_listed(kind: str, data: dict[str, object]) -> None:
    for draw in FIGURES[kind]:
        with pytest.raises((KeyError, ValueError, TypeError)):
            draw(data, "en")
    exhibit = Exhibit(kind, data, Message("answers.overlap.caption"))
    assert page(exhibit, "en") is not None
    assert isinstance(plain(exhibit, "en"), list)


def test_many_models_are_cut() -> None:
    n = 70
    data = {"labels": [f"m{i}" for i in range(n)], "values": [[0.5] * n] * n, "low": 0.0, "high": 1.0}
    assert str(matrix.page(data, "en")).count('scope="row"') == 60
    assert matrix.plain(data, "en")[-1] == "and 61 more"
