"""Equal files: by any identity, in any revision, boilerplate and explained contents set aside."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.evidence.files import equal_files
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, Step, lfs, missing

LONG = "x = 1\n" * 100
OTHER = "y = 2\n" * 100
OID = "288bd3afd90fea91887c711ea0a6554f9145aae5"


def examine(
    reference: FakeRelease,
    candidate: FakeRelease,
    bases: tuple[FakeRelease, ...] = (),
    claimed: tuple[FakeRelease, ...] = (),
) -> list[Finding]:
    found = list(equal_files(Case(reference, candidate, bases, claimed)))
    assert all(isinstance(f, Finding) and text(f.message) for f in found)
    return [f for f in found if isinstance(f, Finding)]


def measure(finding: Finding, name: str) -> object:
    return next(m.value for m in finding.measures if m.name == name)


def test_a_content_that_is_absent_on_both_sides_is_equal_by_its_id() -> None:
    reference = FakeRelease({"a.py": LONG}, absent=[missing("tokenizer.json", OID)])
    candidate = FakeRelease({"b.py": OTHER}, absent=[missing("llama3v/tokenizer.json", OID)])
    (found,) = examine(reference, candidate)
    assert found.id == "files.equal"
    assert found.bearing is Bearing.SUPPORTING  # a tokenizer alone may be an ancestor's
    assert [(x.side, x.path) for x in found.locations] == [
        ("reference", "tokenizer.json"),
        ("candidate", "llama3v/tokenizer.json"),
    ]
    assert measure(found, "files.absent") == 1
    assert {m.key for m in found.limits} == {"explain.no_base", "files.absent"}


def test_equal_code_under_another_name_is_distinctive_until_a_base_explains_it() -> None:
    reference, candidate = FakeRelease({"slicing.py": LONG}), FakeRelease({"img/cut.py": LONG})
    (found,) = examine(reference, candidate)
    assert found.bearing is Bearing.DISTINCTIVE
    (found,) = examine(reference, candidate, bases=(FakeRelease({"old.py": LONG}),))
    assert (found.bearing, found.message.key) == (Bearing.CONTEXT, "files.equal.explained")
    (found,) = examine(reference, candidate, claimed=(FakeRelease({"old.py": LONG}),))
    assert found.bearing is Bearing.CONTEXT
    assert measure(found, "explain.claimed") == 1


def test_what_counts_most_is_named_first() -> None:
    held = {"config.json": LONG, "tokenizer.json": OTHER, "z.py": LONG + OTHER}
    for left in (held, {k: v for k, v in held.items() if k != "z.py"}):
        (found,) = examine(FakeRelease({"a.md": "a", **left}), FakeRelease({"b.md": "b", **left}))
        assert found.message.params["name"] == ("z.py" if "z.py" in left else "tokenizer.json")


def test_boilerplate_does_not_count() -> None:
    files = {"LICENSE": LONG, ".gitattributes": OTHER, "__init__.py": "", "tiny.json": "{}"}
    (found,) = examine(FakeRelease({**files, "a.py": LONG * 2}), FakeRelease({**files, "b.py": OTHER * 2}))
    assert (found.bearing, found.message.key) == (Bearing.CONTEXT, "files.equal.boilerplate")
    assert measure(found, "files.boilerplate") == 4


def test_weights_are_equal_by_pointer_or_by_bytes_hashed_only_when_sizes_agree() -> None:
    content = b"w" * 3000
    pointer = lfs("model-1.safetensors", hashlib.sha256(content).hexdigest(), 3000)
    candidate = FakeRelease({"llm.safetensors": content, "other.safetensors": b"v" * 2999})
    weights, rest = examine(FakeRelease(absent=[pointer]), candidate)
    assert weights.id == "files.weights"
    assert weights.bearing is Bearing.DISTINCTIVE
    assert (measure(weights, "files.bytes_reference"), measure(weights, "files.bytes_candidate")) == (
        3000,
        3000,
    )
    assert candidate.hashed == ["llm.safetensors"]
    assert rest.message.key == "files.equal.none"


def test_an_older_state_of_either_side_counts_and_is_dated() -> None:
    reference = FakeRelease(steps=[Step(86400, {"r.py": LONG}), Step(3 * 86400, {"r.py": OTHER})])
    candidate = FakeRelease({"p.py": LONG})
    (found,) = examine(reference, candidate)
    assert found.bearing is Bearing.DISTINCTIVE
    assert measure(found, "files.older") == 1
    (row,) = found.exhibits[0].data["rows"]
    assert row[0]["params"] == {"path": "r.py", "since": "1970-01-02", "until": "1970-01-04"}
    assert found.locations[0].revision == reference.history.commits[0].id  # type: ignore[union-attr]


def test_what_came_later_explains_nothing_and_is_named() -> None:
    base = FakeRelease(steps=[Step(10, {"a": OTHER}), Step(99, {"late.py": LONG})], files={"a": OTHER})
    base.revision_time = 10
    base.later = FakeRelease({"late.py": LONG})
    (found,) = examine(FakeRelease({"a.py": LONG}), FakeRelease({"b.py": LONG}), bases=(base,))
    assert found.bearing is Bearing.DISTINCTIVE
    assert [m.key for m in found.limits] == ["explain.later"]


def test_identical_releases_are_perfect() -> None:
    files: dict[str, bytes | str | dict[str, object]] = {
        "a.py": LONG,
        "model.safetensors": b"w" * 500,
        "LICENSE": OTHER,
    }
    (found,) = examine(FakeRelease(files), FakeRelease(files))
    assert (found.id, found.message.key) == ("files.identical", "files.identical.some")
    assert all(m.value == m.n for m in found.measures if "_reference" in m.name or "_candidate" in m.name)


paths = st.sampled_from(
    ["a.py", "b.json", "tokenizer.json", "w.safetensors", "\x1b[31m", "\ud800", "LICENSE"]
)
contents = st.sampled_from([LONG, OTHER, "", "small", LONG + OTHER])
releases = st.dictionaries(paths, contents, max_size=5)


@settings(max_examples=80, deadline=None)
@given(releases, releases, releases)
def test_swapping_the_sides_mirrors(one: dict[str, str], other: dict[str, str], base: dict[str, str]) -> None:
    there = examine(FakeRelease(one), FakeRelease(other), bases=(FakeRelease(base),))
    back = examine(FakeRelease(other), FakeRelease(one), bases=(FakeRelease(base),))
    assert [(f.id, f.bearing, f.message.key) for f in there] == [
        (f.id, f.bearing, f.message.key) for f in back
    ]
    for a, b in zip(there, back, strict=True):
        mirrored = {m.name.replace("reference", "candidate") for m in b.measures if "reference" in m.name}
        assert {m.name for m in a.measures if "candidate" in m.name} == mirrored
        assert measure(a, "files.bytes_reference") == measure(b, "files.bytes_candidate")
        assert {(x.side, x.path) for x in a.locations} == {
            ("reference" if x.side == "candidate" else "candidate", x.path) for x in b.locations
        }


@settings(max_examples=30, deadline=None)
@given(releases)
def test_a_release_equals_itself(files: dict[str, str]) -> None:
    (found,) = examine(FakeRelease(files), FakeRelease(files))
    assert found.id == "files.identical"
    assert found.message.key != "files.identical.none" or not files
