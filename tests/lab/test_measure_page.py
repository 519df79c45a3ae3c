"""The page's figures stand between marks; its words stay."""

from __future__ import annotations

import pytest

from apograph.findings import Refusal
from apograph.lab.measure.page import filled

TEXT = "a\n<!-- measured: one -->\n<!-- end -->\nb\n<!-- measured: two -->\nold\nolder\n<!-- end -->\nc\n"


def test_blocks_are_filled_and_filled_again() -> None:
    once = filled(TEXT, {"one": "1\n1", "two": "2"})
    assert once == (
        "a\n<!-- measured: one -->\n1\n1\n<!-- end -->\nb\n<!-- measured: two -->\n2\n<!-- end -->\nc\n"
    )
    assert filled(once, {"one": "1\n1", "two": "2"}) == once


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(Refusal):
        filled(TEXT, {"one": "1"})
