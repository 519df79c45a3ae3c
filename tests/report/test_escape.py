"""Nothing that a release says reaches a terminal or a page as a control character."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.report.escape import visible


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, 汉字, é, 😀", "plain text, 汉字, é, 😀"),
        ("", ""),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x00\x07\x7f\x85\x9b", "\\x00\\x07\\x7f\\x85\\x9b"),
        ("\u202eexe.txt\u2066\u2069", "\\u202eexe.txt\\u2066\\u2069"),
        ("\u200e\u200f\u061c", "\\u200e\\u200f\\u061c"),
        ("a\u200bb\u200d\ufeff\u00ad", "a\\u200bb\\u200d\\ufeff\\xad"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ud800x\udfff", "\\ud800x\\udfff"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164\u2800", "\\u3164\\u2800"),
        ("\u3000", "\u3000"),
        ("C:\\temp", "C:\\temp"),
    ],
)
def test_visible(raw: str, shown: str) -> None:
    assert visible(raw) == shown


def test_limit_counts_what_is_shown() -> None:
    assert visible("abcdef", 6) == "abcdef"
    assert visible("abcdefg", 6) == "abcde…"
    assert visible("\x1b\x1b", 6) == "\\x1b\\…"
    assert visible("x" * 10**6, 3) == "xx…"


@given(st.text(alphabet=st.characters(exclude_categories=())), st.integers(1, 40))
def test_nothing_invisible_is_left(raw: str, limit: int) -> None:
    shown = visible(raw)
    shown.encode("utf-8")
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert len(visible(raw, limit)) <= limit
    assert visible(shown) == shown
