"""The rules of the conclusion, one by one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from apograph.findings import Bearing, Conclusion, Finding, Measure, Message, Side
from apograph.report.words import text
from apograph.weigh.conclusion import MATERIAL, conclude


def finding(channel: str, bearing: Bearing = Bearing.DISTINCTIVE, arrow: Side | None = None) -> Finding:
    return Finding(f"{channel}.x", channel, Message("m"), bearing, arrow=arrow)


def answer(
    *findings: Finding, bases: bool = True, same: bool = False, ran: tuple[str, ...] = MATERIAL
) -> Conclusion:
    return conclude(findings, same_digest=same, bases_given=bases, examined=ran)


INHERITED = Finding(
    "tokenizer.inherited", "tokenizer", Message("m"), measures=(Measure("explain.base", 5, n=20),)
)
"""Shared material that a base explains: without any, nothing was set aside."""


def pointed(got: Conclusion) -> Side | None:
    """The side to which left-overs are said to point."""
    if got.direction_basis is None:
        return None
    side = got.direction_basis.params["side"]
    assert got.sentence.key == f"conclusion.copy.pointing_to_{side}"
    return "reference" if side == "reference" else "candidate"


def test_two_kinds_of_distinctive_material_a_base_and_a_left_over() -> None:
    got = answer(finding("code", arrow="reference"), finding("tokenizer"), INHERITED)
    assert (got.relation, got.direction, got.source) == ("copy or derivative", "unknown", None)
    assert got.basis == ("code.x", "tokenizer.x")
    assert pointed(got) == "reference"


def test_without_a_left_over_both_may_have_it_from_a_third() -> None:
    """Independent models with vendored code and an ancestor's tokenizer, and the wrong ancestor as base."""
    got = answer(finding("code"), finding("tokenizer"), INHERITED)
    assert (got.relation, got.direction_basis) == ("common origin", None)


def test_without_a_base_that_explains_something_it_is_a_common_origin() -> None:
    found = (finding("code"), finding("tokenizer", arrow="reference"))
    slight = replace(INHERITED, measures=(Measure("explain.base", 1, n=20),))
    code = replace(slight, measures=(Measure("code_explained", 74), Measure("code_bits", 2349)))
    for got, note in (
        (answer(*found, INHERITED, bases=False), "no_base"),
        (answer(*found), "base_explains_nothing"),
        (answer(*found, slight, code), "base_explains_nothing"),
    ):
        assert (got.relation, got.direction_basis) == ("common origin", None)
        assert f"conclusion.note.{note}" in {m.key for m in got.notes}
    code = replace(code, measures=(Measure("code_explained", 240), Measure("code_bits", 2349)))
    assert answer(*found, code).relation == "copy or derivative"


def test_weights_that_were_not_compared_are_said() -> None:
    """Also when the examiner of weights ran to its end and found none that it could read."""
    code = finding("code")
    keys = {m.key for m in answer(code, ran=(*MATERIAL, "weights")).notes}
    assert "conclusion.note.no_weights" in keys
    read = answer(code, finding("weights", Bearing.CONTEXT), ran=(*MATERIAL, "weights"))
    assert "conclusion.note.no_weights" not in {m.key for m in read.notes}


def test_one_kind_does_not_decide() -> None:
    assert answer(finding("code")).relation == "undetermined"
    assert answer(finding("code"), finding("code")).relation == "undetermined"


def test_distinctive_code_under_the_same_names_is_a_common_origin() -> None:
    names = replace(finding("config", Bearing.SUPPORTING), id="config.shared_names")
    assert answer(finding("code"), names).relation == "common origin"
    assert answer(finding("code"), names).direction == "unknown"
    assert answer(names).relation == "undetermined"


def test_two_of_one_family_under_all_its_names_are_no_copy_and_have_no_direction() -> None:
    """Siblings from an ancestor that was not given: one keeps its code, the other only names it."""
    names = replace(finding("config", Bearing.SUPPORTING), id="config.shared_names")
    distinctive = (finding("config", arrow="reference"), finding("tokenizer"), finding("code"))
    all_same = replace(names, measures=(Measure("config.class_names", 3, n=3),))
    got = answer(*distinctive, all_same, INHERITED)
    assert (got.relation, got.direction, got.source) == ("common origin", "unknown", None)
    for count in (Measure("config.class_names", 2, n=3), Measure("config.class_names", 0, n=0)):
        got = answer(*distinctive, replace(names, measures=(count,)), INHERITED)
        assert (got.relation, pointed(got)) == ("copy or derivative", "reference"), (
            "a copier renames, or forgets to"
        )


def test_an_equal_source_file_is_one_kind_not_two() -> None:
    assert answer(finding("code"), finding("files")).relation == "undetermined"
    assert answer(finding("code"), finding("files"), finding("tokenizer")).relation == "common origin"


def test_configuration_and_names_never_carry_a_conclusion() -> None:
    got = answer(finding("config"), finding("names"), finding("consistency"), finding("claims"))
    assert got.relation == "undetermined"
    assert answer(finding("config"), finding("config")).relation == "undetermined"
    assert answer(finding("consistency"), finding("code")).relation == "undetermined"


def test_a_left_over_in_the_configuration_stands_beside_code() -> None:
    got = answer(finding("config", arrow="reference"), finding("code"), INHERITED)
    assert (got.relation, pointed(got)) == ("copy or derivative", "reference")


def test_arrows_that_disagree_point_nowhere() -> None:
    got = answer(finding("code", arrow="reference"), finding("tokenizer", arrow="candidate"), INHERITED)
    assert (got.relation, got.direction_basis) == ("common origin", None)


def test_an_arrow_of_mere_context_points_nowhere() -> None:
    mere = finding("config", Bearing.CONTEXT, "reference")
    got = answer(finding("code"), finding("tokenizer"), mere, INHERITED)
    assert (got.relation, got.direction_basis) == ("common origin", None)


def test_nothing_shared() -> None:
    assert answer(finding("code", Bearing.AGAINST)).relation == "independent"
    assert answer(finding("config", Bearing.CONTEXT)).relation == "independent"
    assert answer(finding("history", Bearing.SUPPORTING)).relation == "undetermined"
    assert answer(finding("consistency", Bearing.SUPPORTING)).relation == "independent", "one side by itself"
    assert answer(ran=("config", "names")).relation == "undetermined", "too little was examined"


def test_only_what_a_base_has() -> None:
    files = replace(finding("files", Bearing.CONTEXT), measures=(Measure("explain.base", 2, n=2),))
    code = replace(
        finding("code", Bearing.CONTEXT), measures=(Measure("code_explained", 300), Measure("code_bits", 310))
    )
    tokens = replace(files, id="tokenizer.x", channel="tokenizer")
    assert answer(tokens, code).relation == "common ancestor"
    assert answer(files, code).relation == "independent", "a shared file is not two kinds of material"
    assert answer(tokens, code, bases=False).relation == "independent"
    assert answer(files, finding("code", Bearing.CONTEXT)).relation == "independent"


def test_the_same_files() -> None:
    assert answer(same=True).relation == "identical"


channels = st.sampled_from([*MATERIAL, "config", "names", "consistency"])
some_findings = st.lists(
    st.builds(finding, channels, st.sampled_from(Bearing), st.sampled_from(["reference", "candidate", None])),
    max_size=6,
)


@given(some_findings, st.booleans())
def test_swapping_the_sides_swaps_what_is_pointed_to_and_nothing_else(
    findings: list[Finding], bases: bool
) -> None:
    other: dict[Side | None, Side | None] = {"reference": "candidate", "candidate": "reference", None: None}
    mirrored = [finding(f.channel, f.bearing, other[f.arrow]) for f in findings]
    here, there = (answer(*fs, INHERITED, bases=bases) for fs in (findings, mirrored))
    assert (here.relation, here.basis, here.direction) == (there.relation, there.basis, there.direction)
    assert other[pointed(here)] == pointed(there)
    assert here.source is there.source is None, "files alone give no direction: an accuser may publish last"


@given(some_findings, st.booleans(), st.booleans())
def test_every_sentence_is_in_the_catalogue(findings: list[Finding], bases: bool, same: bool) -> None:
    got = answer(*findings, bases=bases, same=same)
    for message in (got.sentence, *got.notes, *([got.direction_basis] if got.direction_basis else [])):
        assert text(message)
