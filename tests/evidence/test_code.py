"""The examiner of code on small cases made for it."""

from __future__ import annotations

import re

import pytest

from apograph.evidence.code import functions, nearer, script
from apograph.evidence.licences import headers
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Unexamined
from apograph.report.words import catalogue, text
from tests.align.code_samples import OTHER, POOL
from tests.align.test_code import CONDENSED
from tests.evidence.fakes import FakeRelease, missing

NOTICE = "# Copyright 2031 Example Authors. All rights reserved.\n# Licensed under the Example License 1.0.\n"


def release(source: str, path: str = "model.py", **more: object) -> FakeRelease:
    return FakeRelease({path: source, "config.json": {"model_type": "x"}}, ref=path, **more)  # type: ignore[arg-type]


def case(reference: str = POOL, candidate: str = CONDENSED, **more: object) -> Case:
    return Case(release(reference, "ring.py"), release(candidate, "condenser.py"), **more)  # type: ignore[arg-type]


def the(examined: object, name: str) -> Finding:
    found = [f for f in examined if isinstance(f, Finding) and f.id == name]  # type: ignore[attr-defined]
    assert len(found) == 1
    return found[0]


def measure(finding: Finding, name: str) -> float:
    return next(float(m.value or 0) for m in finding.measures if m.name == name)


def test_a_renamed_copy_is_distinctive() -> None:
    found = the(functions(case()), "code.functions")
    assert found.bearing is Bearing.DISTINCTIVE
    assert found.strength.kind == "calibrated"
    assert found.strength.null is not None
    assert measure(found, "code_matched") == 3
    assert measure(found, "code_covered") > 0.9
    assert measure(found, "code_own") == measure(found, "code_bits")
    assert {(place.side, place.path) for place in found.locations} == {
        ("reference", "ring.py"),
        ("candidate", "condenser.py"),
    }
    assert len(found.alternatives) == 5
    names = [e for e in found.exhibits if e.kind == "table"][1].data["rows"]
    assert ["ring_positions", "angles_of"] in [row[:2] for row in names]


def test_of_equal_code_every_function_is_answered() -> None:
    """Small ones included, which say too little to be named."""
    tiny = "\n\ndef width(self):\n    return self.w\n\n\ndef nothing():\n    pass\n"
    found = the(functions(case(POOL + tiny, POOL + tiny)), "code.functions")
    assert found.message.params["n"] == found.message.params["all"] == measure(found, "code_matched")
    half = the(functions(case(POOL, POOL + tiny)), "code.functions")
    assert half.message.params["n"] < half.message.params["all"]


def test_a_pair_is_shown_with_its_lines_and_names() -> None:
    found = the(functions(case()), "code.functions")
    shown = next(
        e.data for e in found.exhibits if e.kind == "code_pair" and "def angles_of" in str(e.data["right"])
    )
    assert shown["left"]["side"] == "reference"
    assert shown["left"]["lines"][0].startswith("def ring_positions")
    assert shown["right"]["start"] == 1 + CONDENSED.split("\n").index("def angles_of(n, dim, root=730.0):")
    assert ["base", "root"] in shown["renamed"]
    left = {shown["left"]["start"] + n: line for n, line in enumerate(shown["left"]["lines"])}
    right = {shown["right"]["start"] + n: line for n, line in enumerate(shown["right"]["lines"])}
    assert all("einsum" in right[b] for a, b in shown["pairs"] if "einsum" in left[a])
    assert shown["explained_right"] == []
    assert shown["similarity"] > 0.9


def test_a_base_that_holds_the_code_explains_it() -> None:
    found = the(functions(case(bases=(release(POOL.replace("states", "s"), "base.py"),))), "code.functions")
    assert found.bearing is Bearing.CONTEXT
    assert found.message.key == "code.functions.explained"
    assert measure(found, "code_own") < 0.05 * measure(found, "code_bits")
    shown = next(e.data for e in found.exhibits if e.kind == "code_pair")
    assert len(shown["explained_right"]) > 3
    assert len(shown["explained_left"]) > 3
    rows = next(e.data["rows"] for e in found.exhibits if e.kind == "table")
    assert all(explained > 0.9 * shared and own < 0.1 * shared for *_, shared, explained, own in rows)


def test_a_base_explains_only_what_it_holds() -> None:
    base = POOL[: POOL.index("class RingPool")]
    found = the(functions(case(bases=(release(base, "base.py"),))), "code.functions")
    assert found.bearing is Bearing.DISTINCTIVE
    assert 100 < measure(found, "code_explained") < 0.4 * measure(found, "code_bits")


def test_unrelated_code_is_no_finding_of_a_match() -> None:
    found = the(functions(case(candidate=OTHER)), "code.functions")
    assert found.message.key == "code.functions.nothing"
    assert found.bearing is Bearing.AGAINST
    assert not found.exhibits


def test_no_code_is_said() -> None:
    found = list(functions(Case(release(POOL), FakeRelease({"readme.md": "x"}))))
    assert [(f.reason.key, f.side) for f in found if isinstance(f, Unexamined)] == [
        ("code.none", "candidate")
    ]


def test_what_was_not_read_is_named() -> None:
    files = {"a.py": CONDENSED, "b.py": "x = = 1\n", "c.py": b"\xff", "d.py": "print 'a'\ny = 1\n"}
    candidate = FakeRelease(files, absent=[missing("e.py", "0" * 40)])
    found = {f.path: f for f in functions(Case(release(POOL), candidate)) if isinstance(f, Unexamined)}
    assert {path: (f.reason.key, f.fault, f.code) for path, f in found.items()} == {
        "b.py": ("code.source.syntax", True, 2),
        "c.py": ("code.source.encoding", True, 2),
        "d.py": ("code.gaps", True, 2),
        "e.py": ("code.absent", False, 2),
    }


def test_nearer_to_the_reference_than_to_the_claimed_source() -> None:
    found = the(nearer(case(claimed=(release(OTHER, "claimed.py"),))), "code.nearer")
    assert found.message.key == "code.nearer.reference"
    assert found.bearing is Bearing.SUPPORTING
    assert measure(found, "code_by_reference") > 10 * measure(found, "code_by_claimed")


def test_nearer_to_the_claimed_source() -> None:
    found = the(nearer(case(reference=OTHER, claimed=(release(POOL, "claimed.py"),))), "code.nearer")
    assert found.message.key == "code.nearer.claimed"
    assert found.bearing is Bearing.AGAINST


def test_two_equal_sources_are_undecided() -> None:
    found = the(nearer(case(claimed=(release(POOL, "claimed.py"),))), "code.nearer")
    assert found.message.key == "code.nearer.undecided"
    assert found.bearing is Bearing.CONTEXT


def test_later_material_is_named_and_explains_nothing() -> None:
    then = release(OTHER, "claimed.py", later=release(OTHER + POOL, "claimed.py"))
    examined = case(claimed=(then,))
    found = list(nearer(examined))
    assert the(found, "code.nearer").message.key == "code.nearer.reference"
    later = the(found, "code.later")
    assert later.message.params["n"] == 3
    assert any("angles_of" in item for item in later.exhibits[0].data["items"])
    assert the(functions(examined), "code.functions").bearing is Bearing.DISTINCTIVE


def test_what_was_not_read_of_later_material_is_named() -> None:
    newest = FakeRelease({"claimed.py": POOL, "broken.py": b"\xff"})
    found = nearer(case(claimed=(release(OTHER, "claimed.py", later=newest),)))
    assert [f.path for f in found if isinstance(f, Unexamined)] == ["broken.py"]


def test_a_notice_that_is_missing_is_found_with_its_text() -> None:
    found = the(headers(case(reference=NOTICE + POOL)), "code.headers")
    assert found.message.params == {"side": "reference", "here": "ring.py", "there": "condenser.py"}
    assert "Copyright 2031 Example Authors. All rights reserved." in found.exhibits[0].data["items"]
    assert (found.locations[0].start, found.locations[0].end) == (1, 2)
    assert found.bearing is Bearing.CONTEXT


def test_a_kept_notice_and_unrelated_files_are_no_finding() -> None:
    assert not list(headers(case(reference=NOTICE + POOL, candidate=NOTICE + CONDENSED)))
    assert not list(headers(case(reference=NOTICE + POOL, candidate=OTHER)))


def test_hidden_direction_marks_are_named() -> None:
    found = the(script(case(candidate=CONDENSED + "# \u202e\n")), "code.script:candidate")
    assert found.exhibits[0].data["items"] == ["condenser.py"]


CASES = {
    "alone": case(),
    "base": case(bases=(release(POOL),)),
    "unrelated": case(candidate=OTHER),
    "claimed": case(reference=NOTICE + POOL, claimed=(release(OTHER, later=release(POOL)),)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_message_has_its_words(name: str) -> None:
    said = []
    for examiner in (functions, nearer, script, headers):
        for f in examiner(CASES[name]):
            if isinstance(f, Unexamined):
                said.append(f.reason)
                continue
            said += [f.message, *f.alternatives, *f.limits, *(e.caption for e in f.exhibits)]
            said += [f.strength.null] if f.strength.null else []
            assert f.id.partition(":")[0] + ".explain" in catalogue()
            assert all(f"measure.{m.name}" in catalogue() for m in f.measures)
            for e in f.exhibits:
                assert all(f"column.{c}" in catalogue() for c in e.data.get("columns", ()))
    for message in said:
        assert not re.search(r"[{}]", text(message))
