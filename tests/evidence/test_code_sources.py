"""Which sources of a large release are read."""

from __future__ import annotations

import pytest

from apograph.evidence import classes, code_sources
from apograph.evidence.code_sources import library
from apograph.evidence.registry import Case
from tests.align.code_samples import OTHER, POOL
from tests.evidence.fakes import FakeRelease


def test_of_a_large_source_the_files_with_common_words_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_sources, "NEAR_FILES", 2)
    files = {f"pkg/noise_{n}.py": f"def unrelated_{n}(k):\n    return k + {n}\n" for n in range(9)}
    claimed = FakeRelease({**files, "pkg/z_pool.py": POOL})
    case = Case(FakeRelease({"a.py": POOL}), FakeRelease({"b.py": OTHER}), claimed=(claimed,))
    found = library(case).other(claimed, "claimed")
    assert "pkg/z_pool.py" in [m.path for m in found.modules]
    assert len(found.modules) == 2
    assert [(u.reason.key, u.reason.params, u.fault) for u in found.unread] == [
        ("code.left_out", {"n": 8}, False)
    ]


def test_a_candidate_over_the_limit_says_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_sources, "MAX_FILES", 1)
    case = Case(FakeRelease({"a.py": POOL}), FakeRelease({"b.py": OTHER, "sub/c.py": POOL}))
    found = library(case).candidate
    assert [m.path for m in found.modules] == ["b.py"]
    assert [(u.fault, u.code) for u in found.unread] == [(True, 5)]


def test_equal_content_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = code_sources.read_module

    def counted(data: bytes, path: str) -> object:
        calls.append(path)
        return real(data, path)

    monkeypatch.setattr(code_sources, "read_module", counted)
    case = Case(FakeRelease({"a.py": POOL}), FakeRelease({"b.py": POOL, "c.py": POOL}))
    found = library(case)
    assert calls == ["a.py"]
    assert [m.path for m in found.candidate.modules] == ["b.py", "c.py"]
    assert {t.path for t in found.candidate.units} == {"b.py", "c.py"}
    assert library(case) is found


def test_of_a_hundred_thousand_files_no_more_are_read_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree bomb shows one file at 10^5 paths: neither the code nor the classes may read them all."""
    monkeypatch.setattr(code_sources, "MAX_FILES", 3)
    candidate = FakeRelease({f"f{n:03}.py": POOL for n in range(100)})
    read: list[str] = []
    real = candidate.read

    def counted(path: str, limit: int = 1 << 20) -> bytes | None:
        read.append(path)
        return real(path, limit)

    monkeypatch.setattr(candidate, "read", counted)
    found = library(Case(FakeRelease({"a.py": OTHER}), candidate)).candidate
    assert [m.path for m in found.modules] == read == ["f000.py", "f001.py", "f002.py"]
    assert [u.reason.params for u in found.unread] == [{"n": 97}]
    read.clear()
    classes.Sources(candidate)
    assert read == ["f000.py"]
