"""Numbers and the words that go with them."""

from __future__ import annotations

import pytest

from apograph.report.words import say


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
