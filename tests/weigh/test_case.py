"""A case opened from what the user named."""

from __future__ import annotations

from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.weigh import case
from apograph.weigh.case import open_case


@pytest.mark.parametrize("role", ["candidate", "bases", "claimed", "panel"])
def test_a_name_that_leads_nowhere_is_told_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setattr(case, "open_release", lambda *_, **__: pytest.fail("a release was opened"))
    gone = str(tmp_path / "gone")
    named = {"candidate": str(tmp_path), **({role: gone} if role == "candidate" else {role: (gone,)})}
    with pytest.raises(Refusal) as refused:
        open_case(str(tmp_path), **named)  # type: ignore[arg-type]
    assert (refused.value.code, refused.value.path) == (4, gone)
