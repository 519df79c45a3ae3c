"""JSON values leaf by leaf, and the nearest states of a file."""

from __future__ import annotations

from apograph.evidence.jsons import dotted, json_distance, leaves, nearest_versions, same
from tests.evidence.fakes import FakeRelease, Step


def test_leaves_and_their_paths() -> None:
    value = {"a": {"b": [1, {"c": None}]}, "d": [], "e": {}}
    assert {dotted(p): v for p, v in leaves(value).items()} == {
        "a.b[0]": 1,
        "a.b[1].c": None,
        "d": [],
        "e": {},
    }
    assert leaves(3) == {(): 3}


def test_equal_as_json() -> None:
    assert same(1, 1.0)
    assert not same(1, True)
    assert not same("1", 1)
    assert not same([], {})
    assert same("\ud800", "\ud800")


def test_distance_counts_changed_and_missing_leaves() -> None:
    assert json_distance({"a": 1, "b": 2}, {"b": 2.0, "a": 1}) == 0
    assert json_distance({"a": 1, "b": 2, "c": {"d": 1, "e": 1}}, {"a": 2, "b": 2}) == 3
    assert json_distance({"a": 1}, {"b": 1}) == 2


def test_the_nearest_states_of_a_file() -> None:
    release = FakeRelease(
        steps=[
            Step(10, {"t.json": '{"max": 2048, "map": "x"}'}),
            Step(20, {"t.json": "broken {"}),
            Step(30, {"t.json": '{"map":\n "y"}'}),
        ]
    )
    found = nearest_versions(release, "t.json", {"map": "x", "max": 2048})
    assert [(v.since, v.until, d) for v, d in found] == [(10, 20, 0), (30, None, 2)]
    assert nearest_versions(FakeRelease(), "t.json", {}) == ()
