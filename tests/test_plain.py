"""Dataclasses survive a round trip through JSON, and nothing else passes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph import plain
from apograph.findings import (
    Bearing,
    Conclusion,
    Exhibit,
    Finding,
    Location,
    Measure,
    Message,
    Strength,
)
from apograph.release.types import Content, File, Tensors

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
messages = st.builds(
    Message, texts, st.dictionaries(texts, texts | st.integers() | st.booleans(), max_size=2)
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
findings = st.builds(
    Finding,
    id=texts,
    channel=texts,
    message=messages,
    bearing=st.sampled_from(Bearing),
    strength=st.builds(Strength, st.just("exact"), numbers | st.none(), messages | st.none()),
    measures=st.lists(
        st.builds(Measure, texts, numbers, interval=st.none() | st.tuples(numbers, numbers)), max_size=2
    ).map(tuple),
    exhibits=st.lists(
        st.builds(Exhibit, texts, st.just({"rows": [[1, "a", None]]}), messages), max_size=1
    ).map(tuple),
    locations=st.lists(st.builds(Location, texts, texts, st.none(), st.integers()), max_size=1).map(tuple),
    arrow=st.sampled_from(["reference", "candidate", None]),
)


@given(findings)
def test_a_finding_survives_json(finding: Finding) -> None:
    wire = json.dumps(plain.dump(finding))
    assert plain.load(Finding, json.loads(wire)) == finding


def test_enums_tuples_and_nested_types_come_back() -> None:
    file = File("a/b", 3, Content.LFS, None, "00")
    assert plain.load(File, plain.dump(file)) == file
    empty = Tensors((), "index", 5, metadata={"a": [1, {"b": None}]})
    assert plain.load(Tensors, plain.dump(empty)) == empty


@pytest.mark.parametrize(
    "change",
    [{"relation": "guilty"}, {"basis": [1]}, {"extra": 1}, {"direction": None}, {"sentence": {"key": "a"}}],
)
def test_what_does_not_fit_is_refused(change: dict[str, object]) -> None:
    value = plain.dump(Conclusion("independent", Message("a")))
    assert isinstance(value, dict)
    with pytest.raises(ValueError, match="wrong type"):
        plain.load(Conclusion, value | change)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, object(), b"x"])
def test_what_json_lacks_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON form|keys must be text"):
        plain.dump(value)
