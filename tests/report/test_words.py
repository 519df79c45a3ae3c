"""Numbers and the words that go with them."""

from __future__ import annotations

import pytest

from apograph.report.words import percent, say


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, "1 file of the candidate is nearest"),
        (2, "2 files of the candidate are nearest"),
        (0, "0 files of the candidate are"),
    ],
)
def test_the_fitting_words(n: int, expected: str) -> None:
    assert say(
        "history.dating.interval", m=n, side="candidate", other="reference", since="a", until="b"
    ).startswith(expected)


def test_a_part_is_never_rounded_to_none_or_all() -> None:
    assert [percent(x, ".0%") for x in (0.0, 0.001, 0.5, 0.999, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]
    assert [percent(x) for x in (0.0004, 0.0006, 0.9994, 0.9996)] == ["<0.1%", "0.1%", "99.9%", ">99.9%"]


def test_channels_are_told_in_words() -> None:
    told = say("conclusion.undetermined.one_kind", list="config, names, no.such")
    assert "(configuration, tensor names, no.such)" in told
