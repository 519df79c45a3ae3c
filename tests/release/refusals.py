"""What the tests of readers share: call, expect a refusal, see that it can be worded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apograph.findings import Refusal
from apograph.report.words import text


def refused(call: Callable[[], Any]) -> Refusal:
    """The refusal that ``call`` raises; its sentence must be fillable and of one line."""
    with pytest.raises(Refusal) as caught:
        call()
    sentence = text(caught.value.message)
    assert 0 < len(sentence) <= 300
    return caught.value
