"""Exhibits: every kind drawn for page and terminal, bounded, and whatever their data holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.findings import Exhibit, Message
from apograph.report import figures
from apograph.report.figures import FIGURES, code_pair, rename_map, timeline
from tests.report.sample import exhibits

CAPTION = Message("cli.help")
DOCUMENTED = sorted(exhibits())


def page(kind: str, data: dict[str, Any]) -> str:
    return str(figures.page(Exhibit(kind, data, CAPTION), "en"))


def plain(kind: str, data: dict[str, Any]) -> list[str]:
    return figures.plain(Exhibit(kind, data, CAPTION), "en")


def test_every_kind_has_a_sample() -> None:
    assert sorted(FIGURES) == DOCUMENTED


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_a_sample_is_drawn_not_listed(kind: str) -> None:
    assert 'class="raw"' not in page(kind, exhibits()[kind])
    assert not plain(kind, exhibits()[kind])[0].startswith("{")


@pytest.mark.parametrize("kind", [*DOCUMENTED, "unknown"])
def test_data_that_does_not_fit_is_listed(kind: str) -> None:
    assert page(kind, {"x": "<b>"}) == '<pre class="raw">{&#34;x&#34;: &#34;&lt;b&gt;&#34;}</pre>'
    assert plain(kind, {"x": "\x1b"}) == ['{"x": "\\u001b"}']


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _mutants(value: Any) -> st.SearchStrategy[Any]:
    """The value with parts replaced by anything."""
    if isinstance(value, dict):
        return st.fixed_dictionaries({key: _mutants(item) | json for key, item in value.items()}) | json
    if isinstance(value, list):
        return st.tuples(*map(_mutants, value)).map(list) | json
    return st.just(value) | json


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_no_data_is_a_crash(kind: str) -> None:
    @given(_mutants(exhibits()[kind]).filter(lambda data: isinstance(data, dict)))
    def run(data: dict[str, Any]) -> None:
        assert page(kind, data)
        assert isinstance(plain(kind, data), list)

    run()


def test_table() -> None:
    data = {
        "columns": ["a<b", "n"],
        "rows": [[True, 1e-6], [None, {"key": "cli.error.byte", "params": {"n": 7}}]],
    }
    assert '<td>yes</td><td class="value">1e-06</td>' in page("table", data)
    assert "<td>–</td><td>byte 7</td>" in page("table", data)
    assert ">a&lt;b</th>" in page("table", data)
    assert plain("table", data) == ["a<b  n", "yes  1e-06", "–    byte 7"]


def test_shares_are_told_in_per_cent() -> None:
    data = {"columns": ["n", "part"], "shares": ["part"], "rows": [[0.5, 0.999], [2, 1], [0.25]]}
    assert plain("table", data) == ["n     part", "0.5   >99%", "2     1", "0.25"]
    assert '<td class="value">&gt;99%</td>' in page("table", data)
    squares = {"rows": ["a"], "columns": ["x", "y"], "values": [[1.0, None]], "low": 0, "high": 1}
    assert plain("heatmap", {**squares, "unit": "share"})[1].split() == ["a", "100%", "–"]
    assert plain("heatmap", squares)[1].split() == ["a", "1", "–"]


def test_much_data_is_bounded_and_counted() -> None:
    assert page("table", {"columns": ["n"], "rows": [[n] for n in range(1234)]}).count("<td ") == 200
    assert "and 1,034 more" in page("table", {"columns": ["n"], "rows": [[n] for n in range(1234)]})
    assert plain("list", {"items": ["x"] * 20, "more": 5})[-1] == "and 13 more"
    assert "and 5 more" in page("list", {"items": ["x"], "more": 5})
    data = exhibits()["code_pair"]
    long = {**data, "left": {**data["left"], "lines": ["x" * 10**5] * 10**4}}
    assert len(page("code_pair", long)) < 200_000
    rules = [{"from": "a", "to": "b", "count": 1, "examples": [], "base": 0}] * 1000
    assert "and 976 more" in page("rename_map", {"rules": rules})
    events = [{"time": n, "side": "reference", "label": "x", "kind": "commit"} for n in range(3000)]
    assert len(page("timeline", {"events": events, "interval": None, "note": ""})) < 100_000


def test_code_lines_that_answer_each_other_stand_level() -> None:
    left = code_pair._Code(10, ["a", "b", "c"], {}, frozenset())
    right = code_pair._Code(1, ["A", "x", "y", "C"], {}, frozenset())
    assert list(code_pair._aligned(left, right, [[10, 1], [12, 4]])) == [
        (10, 1),
        (11, None),
        (None, 2),
        (None, 3),
        (12, 4),
    ]
    crossed = [[10, 4], [11, 1], [12, 2], [99, 99]]
    assert list(code_pair._aligned(left, right, crossed)) == [
        (None, 1),
        (None, 2),
        (None, 3),
        (10, 4),
        (11, None),
        (12, None),
    ]


def test_code_marks_renamed_names_alike_and_greys_the_explained() -> None:
    drawn = page("code_pair", exhibits()["code_pair"])
    assert '<b class="hue1">abs_pos</b>.size' in drawn
    assert '<b class="hue1">table</b>.size' in drawn
    assert '<td class="line">23</td><td class="code l explained">' in drawn
    assert '<td class="line">10</td><td class="code r explained">' in drawn
    assert "<b" not in page("code_pair", {**exhibits()["code_pair"], "renamed": [["abs_pos", "abs_pos"]]})


def test_ribbons_are_as_broad_as_their_tensors_are_many() -> None:
    rule = {"from": "a.*", "to": "b.*", "count": 50, "examples": [], "base": 10}
    drawn = str(rename_map._ribbon(rule, 100, True))
    assert 'height="28"' in drawn
    assert '<rect x="0" y="0" width="100" height="22.4" class="own"/>' in drawn
    assert '<rect x="0" y="22.4" width="100" height="5.6" class="base"/>' in drawn


def test_the_dating_interval_is_a_band_at_its_dates() -> None:
    axis = timeline._axis([], {"start": 0, "end": 100 * 86400})
    assert axis.x(50 * 86400) == pytest.approx(50.0)
    data = {
        "events": [
            {"time": 0, "side": "reference", "label": "", "kind": "commit"},
            {"time": 100 * 86400, "side": "candidate", "label": "", "kind": "commit"},
        ],
        "interval": {"start": 25 * 86400, "end": 75 * 86400, "label": ""},
        "note": "",
    }
    assert '<rect x="27.00%" y="4" width="46.00%"' in page("timeline", data)
    assert "Dating interval: 1970-01-26 to 1970-03-17." in page("timeline", data)
    data["interval"]["end"] = None  # type: ignore[index]
    assert "1970-01-26 to open" in plain("timeline", data)[-1]


def test_telling_events_are_numbered_before_commits() -> None:
    events = [{"time": n, "side": "candidate", "label": str(n), "kind": "commit"} for n in range(100)]
    events += [{"time": 50, "side": "reference", "label": "hit", "kind": "match"}]
    numbered = [e for e in timeline._events({"events": events}) if e.number is not None]
    assert len(numbered) == 24
    assert [e.number for e in numbered] == list(range(1, 25))
    assert "hit" in [e.label for e in numbered]
    assert {"0", "99"} <= {e.label for e in numbered}
