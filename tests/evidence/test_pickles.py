"""Pickles that name more than tensors need: one finding for each side, never evidence of a relation."""

from __future__ import annotations

from apograph.evidence.pickles import foreign_globals
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease


def test_each_side_by_itself() -> None:
    named = {"a.pt": ("os.system", "builtins.eval"), "b.bin": ("os.system",)}
    (found,) = foreign_globals(Case(FakeRelease(), FakeRelease(foreign=named)))
    assert isinstance(found, Finding)
    assert (found.id, found.bearing, found.strength.kind) == (
        "files.foreign_globals:candidate",
        Bearing.CONTEXT,
        "none",
    )
    assert [x.path for x in found.locations] == ["a.pt", "b.bin"]
    assert found.exhibits[0].data["rows"] == [
        ["a.pt", "os.system"],
        ["a.pt", "builtins.eval"],
        ["b.bin", "os.system"],
    ]
    assert text(found.message).startswith(
        "2 PyTorch files of the candidate name 3 functions or classes that no saved tensor needs, first os.s"
    )


def test_nothing_named_nothing_found() -> None:
    assert list(foreign_globals(Case(FakeRelease(), FakeRelease()))) == []
