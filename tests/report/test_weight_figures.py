"""The pictures of weights: heat map, histogram, Q-Q plot."""

from __future__ import annotations

from typing import Any

import pytest

from apograph.findings import Exhibit, Message
from apograph.report.figures import heatmap, histogram, page, qq
from tests.report.sample import exhibits


def test_heatmap_shades_and_numbers() -> None:
    drawn = str(heatmap.page(exhibits()["heatmap"], "en"))
    assert '<td class="shade9">1</td>' in drawn
    assert '<td class="shade0">0.5</td>' in drawn
    assert '<td class="shade5">0.75</td>' in drawn
    assert heatmap.plain(exhibits()["heatmap"], "en") == [
        "          mlp   byte 7",
        "layers.0  1     0.5",
        "layers.1  0.75  –",
    ]


def test_heatmap_says_what_it_leaves_out() -> None:
    wide = {
        "rows": ["a"],
        "columns": [f"c{n}" for n in range(30)],
        "values": [[0.5] * 30],
        "low": 0,
        "high": 1,
    }
    assert heatmap.plain(wide, "en")[-1] == "and 6 more columns"
    assert "and 6 more columns" in str(heatmap.page(wide, "en"))
    tall = {"rows": [*"abcdefghijklmn"], "columns": ["c"], "values": [[0.5]] * 14, "low": 0, "high": 1}
    assert heatmap.plain(tall, "en")[-1] == "and 2 more rows"


def test_heatmap_shows_texts_in_place_of_numbers() -> None:
    data = exhibits()["heatmap"] | {"texts": [["<cast>", "noise"], ["x", None]]}
    assert '<td class="shade9">&lt;cast&gt;</td>' in str(heatmap.page(data, "en"))


def test_a_long_heatmap_is_cut_with_a_word() -> None:
    data = {"rows": ["x"] * 300, "columns": ["y"], "values": [[1.0]] * 300, "low": 0, "high": 1}
    assert str(heatmap.page(data, "en")).count('scope="row"') == 200
    assert "100" in str(heatmap.page(data, "en"))


def test_histogram_bars_and_law() -> None:
    drawn = str(histogram.page(exhibits()["histogram"], "en"))
    assert drawn.count("<rect") == 4
    assert 'd="M80.0,137.1 240.0,42.9 400.0,42.9 560.0,137.1"' in drawn, (
        "200 (1 - 2.2 / 7), 200 (1 - 5.5 / 7)"
    )
    assert "-2 … 2" in drawn
    assert histogram.plain(exhibits()["histogram"], "en")[1].endswith("#" * 30 + " 7")


def test_a_fine_histogram_is_joined_for_the_terminal() -> None:
    data = {"edges": list(range(49)), "counts": [1] * 48, "law": None}
    lines = histogram.plain(data, "en")
    assert len(lines) == 12
    assert all(line.endswith(" 4") for line in lines)


def test_points_on_the_diagonal() -> None:
    data = {"points": [[0, 0], [1, 1]], "x": "a", "y": "b"}
    drawn = str(qq.page(data, "en"))
    assert 'cx="0" cy="260"' in drawn
    assert 'cx="260" cy="0"' in drawn
    assert qq.plain(data, "en") == ["a / b", "0 / 0", "1 / 1"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("heatmap", {"rows": ["a"], "columns": ["b", "c"], "values": [[1]], "low": 0, "high": 1}),
        ("heatmap", {"rows": ["a"], "columns": ["b"], "values": [[float("nan")]], "low": 0, "high": 1}),
        ("histogram", {"edges": [0, 1], "counts": [1, 2], "law": None}),
        ("histogram", {"edges": [0, 1], "counts": [-1], "law": None}),
        ("qq", {"points": [], "x": "a", "y": "b"}),
        ("qq", {"points": [[0, float("inf")]], "x": "a", "y": "b"}),
    ],
)
def test_what_does_not_fit_is_listed(kind: str, data: dict[str, Any]) -> None:
    assert 'class="raw"' in str(page(Exhibit(kind, data, Message("cli.help")), "en"))
