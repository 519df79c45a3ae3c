"""Configuration: values never count, class paths that lead only to the other side do."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.evidence.config import leftovers, shared_names, values
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, Step, missing, tokenizer


def examine(
    reference: FakeRelease,
    candidate: FakeRelease,
    bases: tuple[FakeRelease, ...] = (),
    claimed: tuple[FakeRelease, ...] = (),
) -> dict[str, Finding]:
    case = Case(reference, candidate, bases, claimed)
    found = [f for run in (values, leftovers, shared_names) for f in run(case) if isinstance(f, Finding)]
    assert all(text(f.message) for f in found)
    return {f.id: f for f in found}


def measures(finding: Finding) -> dict[str, object]:
    return {m.name.removeprefix("config."): m.value for m in finding.measures}


A = {"hidden": 8, "eps": 1e-5, "vision": {"size": 980, "patch": 14}, "flag": True, "version": "2.5"}
B = {"hidden": 8.0, "eps": 0.00001, "vision": {"size": 448}, "flag": 1, "extra": None}


def test_values_are_compared_leaf_by_leaf_as_json() -> None:
    found = examine(FakeRelease({"config.json": A}), FakeRelease({"sub/config.json": B}))["config.values"]
    counts = measures(found)
    assert (counts["equal"], counts["changed"]) == (2, 2)  # hidden, eps; size, and true is not 1
    assert (counts["reference_only"], counts["candidate_only"]) == (2, 1)
    assert (found.bearing, found.strength.kind) == (Bearing.CONTEXT, "none")
    rows = {r[0]: (r[1], r[2], r[4]["key"]) for r in found.exhibits[0].data["rows"]}
    assert rows["vision.size"] == ("980", "448", "config.status.changed")
    assert rows["version"] == ("2.5", None, "config.status.reference_only")


def test_what_the_base_has_is_set_aside() -> None:
    base = FakeRelease({"config.json": {"hidden": 8, "eps": 0.5}})
    found = examine(FakeRelease({"config.json": A}), FakeRelease({"config.json": B}), bases=(base,))[
        "config.values"
    ]
    assert measures(found)["explain.beyond"] == 1  # eps: shared, and not the base's
    rows = {r[0]: (r[3], r[4]["key"]) for r in found.exhibits[0].data["rows"]}
    assert rows["hidden"] == ("8", "config.status.explained")
    assert rows["eps"] == ("0.5", "config.status.equal")


def test_nothing_equal_and_everything_equal() -> None:
    one, other = FakeRelease({"config.json": {"a": 1}}), FakeRelease({"config.json": {"b": 1}})
    assert examine(one, other)["config.values"].message.key == "config.values.none"
    assert examine(one, one)["config.values"].message.key == "config.values.same"


AUTO: dict[str, Any] = {"auto_map": {"AutoTokenizer": ["modeling_ref.FastWrapper", None]}}
CODE = "import x\n\nclass FastWrapper(Base):\n    pass\n"


def reference_with_past() -> FakeRelease:
    day = 86400
    return FakeRelease(
        steps=[
            Step(day, {"modeling_ref.py": CODE, "config.json": A}),
            Step(3 * day, {"modeling_ref.py": "x = 1\n"}),
        ]
    )


def candidate_with(config: dict[str, Any], **files: str) -> FakeRelease:
    release = FakeRelease({"config.json": A, "own.py": "class Own: pass\n", **files})
    release.tokenizer = tokenizer(config=config, files=["t/tokenizer_config.json"])
    return release


def test_a_class_path_that_leads_only_to_the_others_past_is_distinctive_and_points_there() -> None:
    found = examine(reference_with_past(), candidate_with(AUTO))["config.leftover:candidate"]
    assert (found.bearing, found.arrow) == (Bearing.DISTINCTIVE, "reference")
    assert found.message.key == "config.leftover.path_past"
    assert found.message.params["since"] == "1970-01-02"
    assert found.message.params["until"] == "1970-01-04"
    assert [(x.side, x.path) for x in found.locations] == [
        ("candidate", "t/tokenizer_config.json"),
        ("reference", "modeling_ref.py"),
    ]


def test_it_mirrors() -> None:
    found = examine(candidate_with(AUTO), reference_with_past())
    assert found["config.leftover:reference"].arrow == "candidate"
    assert "config.leftover:candidate" not in found


def test_a_path_is_no_left_over_when_somebody_else_explains_it() -> None:
    reference = reference_with_past()
    own = candidate_with(AUTO)
    own._contents["lib/modeling_ref.py"] = CODE.encode()
    assert "config.leftover:candidate" not in examine(reference, own)
    base = FakeRelease({"modeling_ref.py": CODE})
    assert "config.leftover:candidate" not in examine(reference, candidate_with(AUTO), bases=(base,))
    assert "config.leftover:candidate" not in examine(reference, candidate_with(AUTO), claimed=(base,))
    open_use = {"auto_map": {"AutoModel": "owner/ref--modeling_ref.FastWrapper"}}
    assert "config.leftover:candidate" not in examine(reference, candidate_with(open_use))
    absent = candidate_with(AUTO)
    absent._absent = [missing("modeling_ref.py", "12" * 20)]
    assert "config.leftover:candidate" not in examine(reference, absent)  # what it holds is not known
    gone = FakeRelease({"config.json": A, "modeling_ref.py": "class FastWrapperX: pass"})
    assert "config.leftover:candidate" not in examine(gone, candidate_with(AUTO))


def test_a_class_without_a_module_only_supports() -> None:
    found = examine(reference_with_past(), candidate_with({"tokenizer_class": "FastWrapper"}))
    assert found["config.leftover:candidate"].bearing is Bearing.SUPPORTING
    assert "config.leftover:candidate" not in examine(
        reference_with_past(), candidate_with({"tokenizer_class": "LlamaTokenizer"})
    )


def test_names_that_both_give_themselves() -> None:
    config = {"model_type": "minicpmv", "auto_map": {"AutoModel": "modeling_minicpmv.MiniCPMV"}}
    one, other = FakeRelease({"config.json": config}), FakeRelease({"config.json": {**config, "x": 1}})
    found = examine(one, other)["config.shared_names"]
    assert found.bearing is Bearing.SUPPORTING
    assert {r[1] for r in found.exhibits[0].data["rows"]} == {"minicpmv", "modeling_minicpmv"}
    assert ("config.class_names", 2, 2) in {(m.name, m.value, m.n) for m in found.measures}
    assert "config.shared_names" not in examine(one, other, bases=(one,))
    partly = FakeRelease({"config.json": {**config, "auto_map": {"AutoModel": "modeling_other.Other"}}})
    renamed = examine(one, partly)["config.shared_names"]
    assert ("config.class_names", 1, 3) in {(m.name, m.value, m.n) for m in renamed.measures}
    plain = {"model_type": "some_model", "architectures": ["LlamaForCausalLM"]}
    assert "config.shared_names" not in examine(
        FakeRelease({"config.json": plain}), FakeRelease({"config.json": plain})
    )


leaf = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "a", "\x1b", "\ud800", "x.Y"])
)
configs = st.dictionaries(
    st.sampled_from(["a", "b.c", "auto_map", "architectures", "", "model_type"]),
    st.recursive(
        leaf, lambda c: st.lists(c, max_size=2) | st.dictionaries(st.sampled_from("ab"), c, max_size=2)
    ),
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(configs, configs)
def test_swapping_the_sides_mirrors(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = (
        examine(FakeRelease({"config.json": a}), FakeRelease({"config.json": b}))["config.values"]
        for a, b in ((one, other), (other, one))
    )
    a, b = measures(there), measures(back)
    assert (a["equal"], a["changed"], a["top_equal"]) == (b["equal"], b["changed"], b["top_equal"])
    assert (a["reference_only"], a["candidate_only"]) == (b["candidate_only"], b["reference_only"])
    same = examine(FakeRelease({"config.json": one}), FakeRelease({"config.json": one}))["config.values"]
    assert measures(same)["changed"] == measures(same)["reference_only"] == 0
