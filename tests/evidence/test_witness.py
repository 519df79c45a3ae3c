"""Who was first: what establishes an order of two releases, and what only seems to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product

import pytest

from apograph.evidence.registry import Case
from apograph.evidence.witness import OTHER, _first, dated
from apograph.findings import SIDES, Finding, Side, Unexamined
from apograph.release.witness import Witness
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, tensors

A = FakeRelease({"model.safetensors": "a", "x.py": "1"}, tensors=tensors({"w": (2, 2)}))
B = FakeRelease({"model.safetensors": "b", "y.py": "1"}, tensors=tensors({"w": (2, 2)}))


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def stamp(time: int, *contents: str, trusted: bool = True) -> Witness:
    return Witness("m.tsr", "timestamp", time, "CN=T", trusted, frozenset(map(sha, contents)))


def told(
    witnesses: Sequence[Witness], reference: int | None = None, candidate: int | None = None
) -> dict[str, Finding | Unexamined]:
    stated: dict[Side, int] = {}
    stated |= {"reference": reference} if reference is not None else {}
    stated |= {"candidate": candidate} if candidate is not None else {}
    found = list(dated(Case(A, B, witnesses=tuple(witnesses), published=stated)))  # type: ignore[arg-type]
    assert all(text(f.message) for f in found if isinstance(f, Finding))
    return {f.id if isinstance(f, Finding) else f.reason.key: f for f in found}


def order(witnesses: Sequence[Witness], **stated: int) -> tuple[Side | None, str]:
    finding = told(witnesses, **stated)["witness.order"]
    assert isinstance(finding, Finding)
    return finding.arrow, finding.message.key.removeprefix("witness.order.")


def test_nothing_is_said_where_nothing_is_given() -> None:
    assert told([]) == {}


def test_a_witness_before_the_stated_date_establishes_the_order_either_way() -> None:
    assert order([stamp(100, "a")], candidate=200) == ("reference", "reference")
    assert order([stamp(100, "b")], reference=200) == ("candidate", "candidate")


@pytest.mark.parametrize(
    ("witnesses", "stated", "reason"),
    [
        ([stamp(100, "a")], {}, "open_unstated"),
        ([stamp(100, "a"), stamp(200, "b")], {}, "open_unstated"),  # B may have been public long before 200
        ([stamp(200, "b")], {}, "open_unstated"),
        ([stamp(100, "a")], {"candidate": 100}, "open_late"),
        ([stamp(100, "a"), stamp(50, "b")], {"candidate": 200}, "open_older"),
        ([stamp(100, "a", "b")], {"candidate": 200}, "open_older"),  # one stamp over both
        ([stamp(100, "a"), stamp(120, "b")], {"candidate": 200, "reference": 150}, "open_unseen"),
        ([stamp(100, "a", trusted=False)], {"candidate": 200}, "open_undated"),
        ([stamp(100, "x.py", "1")], {"candidate": 200}, "open_undated"),  # not the weights
        ([], {"candidate": 200}, "open_undated"),
    ],
)
def test_what_establishes_no_order(witnesses: list[Witness], stated: dict[str, int], reason: str) -> None:
    assert order(witnesses, **stated) == (None, reason)


def test_all_combinations_swap_with_the_sides_and_never_name_both() -> None:
    times = (None, 1, 2, 3)
    for r, rp, c, cp in product(times, repeat=4):
        got = _first({"reference": (r, rp), "candidate": (c, cp)})
        swapped = _first({"reference": (c, cp), "candidate": (r, rp)})
        assert {OTHER[side]: got[side] for side in SIDES} == swapped
        assert list(got.values()).count("holds") <= 1
        if got["reference"] == "holds":
            assert r is not None
            assert cp is not None
            assert r < cp
            assert c is None or r < c


def test_what_is_covered_and_what_not() -> None:
    def side(*witnesses: Witness) -> str:
        finding = told(witnesses)["witness.reference"]
        assert isinstance(finding, Finding)
        return finding.message.key.removeprefix("witness.side.")

    assert side(stamp(1, "a", "1")) == "whole"
    assert side(stamp(1, "a")) == "weights"
    assert side(stamp(1, "1")) == "partly"
    assert side(stamp(1, "a", trusted=False)) == "unvouched"
    assert side(stamp(1, "b")) == "none"
    got = told([stamp(1, "another"), stamp(1, "a", trusted=False)])
    assert {"witness.covers_nothing", "witness.untrusted"} <= got.keys()


def test_the_earliest_witness_counts() -> None:
    assert order([stamp(300, "a"), stamp(100, "a")], candidate=200)[0] == "reference"
