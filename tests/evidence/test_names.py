"""The examiner of tensor names: a map and its figures, never evidence."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.align.names import Renaming
from apograph.evidence.names import SHARED_KEY, renamed_tensors
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, tensors


def examine(case: Case) -> Finding:
    (found,) = renamed_tensors(case)
    assert isinstance(found, Finding)
    assert text(found.message)
    assert (found.bearing, found.strength.kind, found.arrow) == (Bearing.CONTEXT, "none", None)
    return found


def index(*names: str, size: int | None = None) -> FakeRelease:
    return FakeRelease(tensors=tensors(names, size))


REFERENCE = [f"vpm.layers.{n}.{p}" for n in range(3) for p in ("w", "b")] + ["llm.head", "llm.norm"]
CANDIDATE = [n.replace("vpm.", "vison.") for n in REFERENCE]


def test_the_map_with_its_rules_and_what_a_base_has() -> None:
    base = index("vpm.layers.0.w", "llm.head")
    case = Case(index(*REFERENCE, size=64), index(*CANDIDATE, size=64), (base,))
    found = examine(case)
    assert found.message.key == "names.renaming.renamed_sized"
    data = found.exhibits[0].data
    assert [(r["from"], r["to"], r["count"], r["base"]) for r in data["rules"]] == [
        ("vpm.*", "vison.*", 6, 1),
        ("llm.*", "llm.*", 2, 1),
    ]
    assert data["rules"][0]["examples"][0] == ["vpm.layers.0.w", "vison.layers.0.w"]
    assert data["ordered"]
    assert data["totals"] == {"reference": 8, "candidate": 8, "matched": 8}
    assert {m.name: m.value for m in found.measures}["names.in_base"] == 2
    kept = case.shared[SHARED_KEY]
    assert isinstance(kept, Renaming)
    assert len(kept.pairs) == 8


def test_a_base_may_have_the_tensor_under_the_candidates_name() -> None:
    found = examine(Case(index("vpm.w", "llm.x"), index("vison.w", "llm.x"), (index("vison.w"),)))
    assert {m.name: m.value for m in found.measures}["names.in_base"] == 1


def test_other_sizes_another_order_and_left_overs_are_said() -> None:
    reference = index(*REFERENCE, size=64)
    assert (
        examine(Case(reference, index(*CANDIDATE, size=65))).message.key == "names.renaming.renamed_ordered"
    )
    assert examine(Case(reference, index(*reversed(CANDIDATE)))).message.key == "names.renaming.renamed"
    part = examine(Case(reference, index(*CANDIDATE, "extra.tower")))
    assert part.message.key == "names.renaming.renamed_part"
    assert part.exhibits[0].data["unmatched"] == {"reference": [], "candidate": ["extra.tower"]}


def test_identical_and_unrelated() -> None:
    same = examine(Case(index(*REFERENCE, size=1), index(*REFERENCE, size=1)))
    assert same.message.key == "names.renaming.same_sized"
    none = examine(Case(index("alpha"), index("omega")))
    assert (none.message.key, none.exhibits) == ("names.renaming.none", ())


names = st.lists(st.sampled_from(["a.w", "a.b", "c.0.w", "c.1.w", "\x1b[2J", "\ud800.w", "{n}"]), unique=True)


@settings(max_examples=50, deadline=None)
@given(names, names)
def test_swapping_the_sides_mirrors(one: list[str], other: list[str]) -> None:
    there, back = examine(Case(index(*one), index(*other))), examine(Case(index(*other), index(*one)))
    assert there.message.key == back.message.key
    rules = [
        [(r["from"], r["to"], r["count"]) for x in f.exhibits for r in x.data["rules"]] for f in (there, back)
    ]
    assert sorted(rules[0]) == sorted((b, a, n) for a, b, n in rules[1])
