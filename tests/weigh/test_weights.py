"""What weights say of the relation, rule by rule, and beside what files say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.findings import Bearing, Conclusion, Finding, Measure, Message, Relation, Strength
from apograph.report.words import text
from apograph.weigh.conclusion import conclude
from apograph.weigh.weights import RANK, conclude_weights, merged

FILLED = {"n": 2, "all": 6, "share": 0.9, "cosine": 0.9, "ratio": 3.0, "power": 20}


def coins(bearing: Bearing, bases: int = 0) -> Finding:
    return Finding(
        "weights.coins",
        "weights",
        Message("weights.coins.found", FILLED),
        bearing,
        Strength("exact", -20.0, Message("weights.coins.null")),
        (Measure("weights_bases", bases),),
    )


def classes(
    bearing: Bearing, bases: int = 0, made: float = 0.8, computed: float = 0.8, same: float = 0.0
) -> Finding:
    values = {
        "weights_bases": bases, "weights_made": 0.8, "weights_computed": computed, "weights_identical": same
    }  # fmt: skip
    measures = tuple(Measure(name, value) for name, value in values.items())
    return Finding("weights.transformation", "weights", Message("m"), bearing, measures=measures)


def relation(*findings: Finding) -> Relation | None:
    got = conclude_weights(findings)
    return None if got is None else got.relation


def test_nothing_compared() -> None:
    assert relation() is None
    assert relation(Finding("code.x", "code", Message("m"), Bearing.DISTINCTIVE)) is None
    assert relation(classes(Bearing.CONTEXT)) is None, "no module allowed a test"


def test_equal_values() -> None:
    assert relation(classes(Bearing.DISTINCTIVE, same=1.0), coins(Bearing.DISTINCTIVE)) == "identical"
    assert relation(classes(Bearing.DISTINCTIVE, same=1 - 1e-9)) == "common origin"


def test_tensors_computed_from_each_other() -> None:
    assert relation(classes(Bearing.DISTINCTIVE)) == "common origin"
    assert relation(classes(Bearing.DISTINCTIVE, bases=1)) == "copy or derivative"


def test_a_copy_needs_the_base_of_the_finding_that_counts() -> None:
    """A base that only another finding could set aside explains nothing of what was counted."""
    alone = classes(Bearing.DISTINCTIVE, bases=0)
    aligned = replace(classes(Bearing.CONTEXT, bases=1, computed=0.0), id="weights.gauge")
    assert relation(alone, aligned) == "common origin"
    assert relation(alone, coins(Bearing.CONTEXT, bases=1)) == "common origin"


def test_training_alone_is_not_called_a_copy() -> None:
    tuned = classes(Bearing.DISTINCTIVE, 1, computed=0.0)
    assert relation(tuned, coins(Bearing.DISTINCTIVE, 1)) == "same initialisation or derivative"
    assert relation(classes(Bearing.DISTINCTIVE, 0, computed=0.0)) == "common origin"


@pytest.mark.parametrize(
    ("bearing", "bases", "expected"),
    [
        (Bearing.DISTINCTIVE, 0, "common origin"),
        (Bearing.DISTINCTIVE, 1, "same initialisation or derivative"),
        (Bearing.SUPPORTING, 1, "undetermined"),
        (Bearing.CONTEXT, 1, "common ancestor"),
        (Bearing.AGAINST, 0, "independent"),
    ],
)
def test_coins_alone(bearing: Bearing, bases: int, expected: Relation) -> None:
    assert relation(coins(bearing, bases), classes(Bearing.AGAINST, bases)) == expected


def other(name: str, bearing: Bearing, key: str = "m", **measures: float) -> Finding:
    told = tuple(Measure(n, value) for n, value in measures.items())
    return Finding(f"weights.{name}", "weights", Message(key, FILLED), bearing, measures=told)


def test_the_order_of_units_counts_like_the_coins() -> None:
    order = other("unit_order", Bearing.DISTINCTIVE)
    assert relation(order, classes(Bearing.AGAINST)) == "common origin"
    assert relation(order, classes(Bearing.AGAINST, 1)) == "same initialisation or derivative"
    assert relation(other("unit_order", Bearing.SUPPORTING), classes(Bearing.AGAINST)) == "undetermined"
    assert relation(other("unit_order", Bearing.CONTEXT), classes(Bearing.AGAINST, 1)) == "common ancestor"
    assert relation(other("unit_order", Bearing.AGAINST), classes(Bearing.AGAINST)) == "independent"


def test_what_a_base_explains_is_a_common_ancestor() -> None:
    """Though no coin agrees: a disguised copy of the base, or nothing but the base's frozen embeddings."""
    hidden = other("gauge", Bearing.CONTEXT, "weights.gauge.explained")
    assert relation(hidden, coins(Bearing.AGAINST), classes(Bearing.AGAINST, 1)) == "common ancestor"
    nothing = other("gauge", Bearing.CONTEXT, "weights.gauge.nothing")
    assert relation(nothing, coins(Bearing.AGAINST), classes(Bearing.AGAINST, 1)) == "independent"
    same = other("descent", Bearing.CONTEXT, "weights.descent.same", weights_bases=1)
    assert relation(same, coins(Bearing.CONTEXT, 1), classes(Bearing.CONTEXT, 1)) == "common ancestor"
    assert relation(same, classes(Bearing.DISTINCTIVE, 1, computed=0.0)) == "copy or derivative"
    frozen = other("transformation", Bearing.CONTEXT, weights_explained=2)
    assert relation(frozen, coins(Bearing.AGAINST)) == "common ancestor"


def test_a_known_seed_is_the_innocent_explanation_of_a_common_start() -> None:
    seed = other("seed", Bearing.CONTEXT, seed_common=1)
    tuned = classes(Bearing.DISTINCTIVE, computed=0.0)
    assert relation(seed, tuned) == "same initialisation or derivative"
    assert relation(seed, coins(Bearing.DISTINCTIVE)) == "same initialisation or derivative"
    assert relation(other("seed", Bearing.CONTEXT, seed_common=0), tuned) == "common origin"


def test_a_test_without_a_coin_decides_nothing() -> None:
    none = replace(coins(Bearing.CONTEXT), measures=(Measure("coins_share", None, "share", 0),))
    assert relation(none, classes(Bearing.CONTEXT)) == "undetermined"
    assert relation(none, other("unit_order", Bearing.AGAINST)) == "independent", "another test was made"
    told = conclude_weights([none])
    assert told is not None
    assert merged(files("independent"), told).sentence.key == "conclusion.weights.unread"


def test_weights_never_give_a_direction_and_say_so() -> None:
    got = conclude_weights([classes(Bearing.DISTINCTIVE, 1)])
    assert got is not None
    assert (got.direction, got.source) == ("unknown", None)
    assert "conclusion.note.undated" in {n.key for n in got.notes}


def files(relation: Relation, key: str = "conclusion.independent") -> Conclusion:
    return Conclusion(relation, Message(key), ("code.x",))


def weights(bearing: Bearing, bases: int = 0) -> Conclusion:
    got = conclude_weights([coins(bearing, bases)])
    assert got is not None
    return got


def test_the_stronger_relation_stands_and_the_other_is_noted() -> None:
    got = merged(files("common origin", "conclusion.common"), weights(Bearing.DISTINCTIVE, 1))
    assert got.relation == "same initialisation or derivative"
    assert got.basis == ("weights.coins", "code.x")
    assert "conclusion.common" in {n.key for n in got.notes}
    got = merged(files("common ancestor"), weights(Bearing.DISTINCTIVE, 1))
    assert got.basis == ("weights.coins",), "what a base explains carries no relation beyond it"
    got = merged(files("undetermined"), weights(Bearing.AGAINST))
    assert got.basis == ("code.x",), "the weights found nothing on which doubt could rest"
    got = merged(files("copy or derivative", "conclusion.copy.unknown"), weights(Bearing.DISTINCTIVE))
    assert got.basis == ("code.x", "weights.coins")
    assert got.relation == "copy or derivative"
    assert "conclusion.weights.coins" in {n.key for n in got.notes}


def test_weights_without_evidence_take_nothing_from_code() -> None:
    got = merged(files("copy or derivative", "conclusion.copy.unknown"), weights(Bearing.AGAINST))
    assert got.relation == "copy or derivative"
    assert "conclusion.weights.independent" in {n.key for n in got.notes}
    assert merged(
        files("undetermined", "conclusion.undetermined.one_kind"), weights(Bearing.AGAINST)
    ).relation == ("undetermined")


def test_weights_speak_where_files_could_not_be_read() -> None:
    unread = files("undetermined", "conclusion.undetermined.too_little")
    got = merged(unread, weights(Bearing.AGAINST))
    assert got.relation == "independent"
    assert got.sentence.key == "conclusion.weights.independent"
    assert merged(unread, weights(Bearing.DISTINCTIVE)).relation == "common origin"


def test_doubt_about_weights_outweighs_files_without_evidence() -> None:
    assert merged(files("independent"), weights(Bearing.SUPPORTING)).relation == "undetermined"
    assert merged(files("independent"), weights(Bearing.CONTEXT, 1)).relation == "common ancestor"


def shared(id: str, bearing: Bearing = Bearing.SUPPORTING) -> Finding:
    return Finding(id, id.split(".")[0], Message("m"), bearing)


@pytest.mark.parametrize(
    ("found", "relation", "sentence"),
    [
        (["tokenizer.vocabulary"], "independent", "apart.tokenizer"),
        (["tokenizer.vocabulary", "tokenizer.added", "files.equal"], "independent", "apart.tokenizer"),
        (["tokenizer.vocabulary", "history.mentions"], "undetermined", "apart.supporting"),
        (["tokenizer.revision"], "undetermined", "apart.supporting"),
        (["answers.wrong"], "undetermined", "apart.supporting"),
    ],
)
def test_trained_apart_with_one_tokenizer(found: list[str], relation: Relation, sentence: str) -> None:
    """A tokenizer that strangers have too leaves no doubt where weights were tested; anything else does."""
    telling = [shared(id) for id in found]
    for tests in ([coins(Bearing.AGAINST)], [other("unit_order", Bearing.AGAINST)]):
        got = conclude([*telling, *tests], same_digest=False, bases_given=False, examined=("tokenizer",))
        assert (got.relation, got.sentence.key) == (relation, f"conclusion.{sentence}")
        assert set(got.basis) >= set(found)
        assert text(got.sentence)


def test_a_tokenizer_leaves_doubt_where_weights_do_not_speak_for_separate_origins() -> None:
    """Weights unread, no test possible, signs that agree; and tokens of one's own are no mere tokenizer."""
    tokenizer = shared("tokenizer.vocabulary")
    for weighed in ([], [classes(Bearing.AGAINST)], [coins(Bearing.SUPPORTING)]):
        got = conclude([tokenizer, *weighed], same_digest=False, bases_given=False, examined=("tokenizer",))
        assert got.relation == "undetermined"
    own = shared("tokenizer.added", Bearing.DISTINCTIVE)
    got = conclude([own, coins(Bearing.AGAINST)], same_digest=False, bases_given=False, examined=())
    assert (got.relation, got.sentence.key) == ("undetermined", "conclusion.apart.one_kind")
    assert text(got.sentence)


def test_conclude_asks_the_weights() -> None:
    given_ = {"same_digest": False, "bases_given": False, "examined": ("code", "weights")}
    assert conclude([coins(Bearing.DISTINCTIVE)], **given_).relation == "common origin"  # type: ignore[arg-type]
    assert conclude([coins(Bearing.AGAINST)], **given_).relation == "independent"  # type: ignore[arg-type]


bearings = st.sampled_from(Bearing)
share = st.sampled_from([0.0, 0.5, 1.0])
relations = st.sampled_from([r for r in RANK if r != "identical"])


@given(bearings, bearings, st.integers(0, 1), share, share, relations)
def test_every_sentence_is_in_the_catalogue_and_nothing_gets_weaker(
    a: Bearing, b: Bearing, bases: int, computed: float, same: float, other: Relation
) -> None:
    told = conclude_weights([coins(a, bases), classes(b, bases, computed=computed, same=same)])
    assert told is not None
    got = merged(files(other), told)
    assert text(got.sentence)
    assert all(text(n) for n in (*got.notes, *told.notes))
    assert RANK[got.relation] >= RANK[other]
