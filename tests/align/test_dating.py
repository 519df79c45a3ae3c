"""The nearest state of a file in a history, and the time in which it was current."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apograph.align.dating import Features, json_features, nearest, text_features
from apograph.release.types import Version

DAY = 86400


def version(oid: str, since: int, until: int | None, path: str = "config.json") -> Version:
    return Version(path, oid, f"c{since}", since * DAY, None if until is None else until * DAY)


def test_leaves_do_not_depend_on_the_order_of_keys() -> None:
    assert json_features({"a": [1, {"b": 2}], "c": {}}) == json_features({"c": {}, "a": [1, {"b": 2}]})
    assert json_features({"a": [1, 2]}) != json_features({"a": [2, 1]})
    assert json_features({"a": 1}) != json_features({"a": "1"})


def test_text_is_compared_by_runs_of_words() -> None:
    a = text_features("One two, three four five six seven.")
    assert a.items == {"one two three four five six", "two three four five six seven"}
    assert a.similarity(text_features("one TWO three four five six seven")) == 1.0
    assert a.similarity(text_features("too short")) == 0.0


def test_the_interval_of_the_nearest_state() -> None:
    states = [version("a", 0, 10), version("b", 10, 20), version("c", 20, None)]
    marks = {
        "a": json_features({"x": 1, "y": 1}),
        "b": json_features({"x": 1, "y": 2}),
        "c": json_features({"x": 2, "y": 2, "z": 3}),
    }
    found = nearest("own", json_features({"x": 1, "y": 2}), states, marks)
    assert found is not None
    assert (found.since, found.until, found.similarity) == (10 * DAY, 20 * DAY, 1.0)
    assert not found.same_object
    assert found.dates
    assert found.runner_up == 1 / 3


def test_an_equal_object_needs_no_content() -> None:
    found = nearest("b", None, [version("a", 0, 10), version("b", 10, None)], {})
    assert found is not None
    assert found.same_object
    assert (found.since, found.until, found.states) == (10 * DAY, None, 1)
    assert not found.dates, "the other state was never compared, so nothing is dated"


def test_a_state_that_came_back_widens_the_interval() -> None:
    found = nearest("a", None, [version("a", 0, 10), version("b", 10, 20), version("a", 20, 30)], {})
    assert found is not None
    assert (found.since, found.until) == (0, 30 * DAY)


def test_below_the_floor_there_is_no_nearest_state() -> None:
    marks = {"a": Features(frozenset("abcdefgh"))}
    assert nearest("own", Features(frozenset("a")), [version("a", 0, None)], marks) is None


@given(st.lists(st.frozensets(st.sampled_from("abcdef")), min_size=1, max_size=6), st.randoms())
def test_the_order_in_which_states_are_listed_does_not_matter(sets: list[frozenset[str]], random) -> None:
    states = [version(str(n), n, n + 1, path=f"p{n % 2}") for n in range(len(sets))]
    marks = {str(n): Features(items) for n, items in enumerate(sets)}
    own = Features(frozenset("abc"))
    shuffled = list(states)
    random.shuffle(shuffled)
    assert nearest("own", own, states, marks) == nearest("own", own, shuffled, marks)
