from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.behaviour.edit import align, distance, similarity

words = st.text(alphabet="abc", max_size=12)


def slow(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def test_by_hand() -> None:
    assert distance("kitten", "sitting") == 3
    assert distance("", "abc") == 3
    assert similarity("kitten", "sitting") == 1 - 3 / 7
    assert similarity("", "") == 1.0
    assert similarity("a" * 30_000, "a" * 29_999) == 0.0
    assert align("abc", "axc") == [("=", 0, 0), ("x", 1, 1), ("=", 2, 2)]
    assert align("ac", "abc") == [("=", 0, 0), ("+", 1, 1), ("=", 1, 2)]
    assert align("abc", "") == [("-", 0, 0), ("-", 1, 0), ("-", 2, 0)]


@settings(deadline=None)
@given(words, words)
def test_distance_is_the_table_s(a: str, b: str) -> None:
    assert distance(a, b) == slow(a, b)


@settings(deadline=None)
@given(words, words)
def test_alignment_is_a_shortest_way(a: str, b: str) -> None:
    made, i, cost = "", 0, 0
    for how, at, j in align(a, b):
        assert at == i
        assert j == len(made)
        if how in "=x":
            assert (a[i] == b[j]) == (how == "=")
        made += "" if how == "-" else b[j]
        i += how != "+"
        cost += how != "="
    assert (made, i, cost) == (b, len(a), slow(a, b))
