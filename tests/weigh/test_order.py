"""Direction: only from a witnessed order that nothing contradicts, and only where one came from the other."""

from __future__ import annotations

import pytest

from apograph.findings import Bearing, Finding, Measure, Message, Relation, Side, Strength
from apograph.report.words import text
from apograph.weigh.conclusion import conclude
from apograph.weigh.evalues import CAP, channel_e, e_value, headline
from apograph.weigh.weights import conclude_weights
from tests.weigh.test_weights import classes, coins


def order(side: Side | None, whole: bool = True) -> Finding:
    params = {"time": "2026-01-01 00:00:00 UTC", "stated": "2026-02-01"}
    measures = (Measure("witness_whole_time", "2026-01-02 00:00:00 UTC"),) if whole else ()
    return Finding("witness.order", "witness", Message("m", params), measures=measures, arrow=side)


def arrow(side: Side) -> Finding:
    return Finding("weights.arrows", "weights", Message("m"), arrow=side)


def descent(key: str, side: Side | None = None, most: float = 0.6) -> Finding:
    measures = tuple(
        Measure(f"descent_{way}_middle", 0.5, interval=(0.2, most)) for way in ("forward", "back")
    )
    message = Message(f"weights.descent.{key}", {"n": 9})
    return Finding("weights.descent", "weights", message, measures=measures, arrow=side)


def merge(coefficient: float = 0.4, unexplained: float = 0.02, parts: int = 2) -> Finding:
    values = {
        "merge_coefficient": coefficient, "merge_unexplained": unexplained, "merge_parts": parts
    }  # fmt: skip
    params = {"target": "candidate", "list": "0.40 reference, 0.60 other", "unexplained": unexplained, "n": 9}
    measures = tuple(Measure(name, value) for name, value in values.items())
    return Finding("weights.merge", "weights", Message("weights.merge.found", params), measures=measures)


def weighed(*findings: Finding) -> tuple[Relation, Side | None]:
    got = conclude_weights(findings)
    assert got is not None
    assert (got.direction == "known") == (got.source is not None)
    sentences = (got.sentence, *got.notes, *([got.direction_basis] if got.direction_basis else []))
    assert all(text(m) for m in sentences)
    return got.relation, got.source


MADE = classes(Bearing.DISTINCTIVE, bases=1)
TUNED = classes(Bearing.DISTINCTIVE, bases=1, computed=0.0)


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_a_witnessed_order_gives_a_copy_its_direction(side: Side) -> None:
    assert weighed(MADE, order(side)) == ("copy or derivative", side)
    assert weighed(MADE, order(side), arrow(side)) == ("copy or derivative", side)
    assert weighed(MADE, order(None)) == ("copy or derivative", None)


def test_arrows_alone_point_but_give_no_direction() -> None:
    assert weighed(MADE, arrow("reference")) == ("copy or derivative", None)
    got = conclude_weights([MADE, arrow("reference")])
    assert got is not None
    assert got.direction_basis == Message("conclusion.direction.arrow", {"side": "reference", "n": 1})
    assert "conclusion.note.undated" in {n.key for n in got.notes}


def test_an_arrow_against_the_order_leaves_it_open() -> None:
    assert weighed(MADE, order("reference"), arrow("candidate")) == ("copy or derivative", None)
    assert weighed(MADE, order("reference"), arrow("candidate"), descent("child", "reference"))[1] is None


def test_an_order_raises_no_relation_above_its_evidence() -> None:
    no_base = classes(Bearing.DISTINCTIVE)
    assert weighed(no_base, order("reference")) == ("common origin", None)
    assert weighed(coins(Bearing.AGAINST), order("reference")) == ("independent", None)
    assert weighed(coins(Bearing.DISTINCTIVE, 1), order("reference")) == (
        "same initialisation or derivative",
        None,
    )


def test_weak_coins_count_only_beside_an_order() -> None:
    assert weighed(coins(Bearing.SUPPORTING, 1)) == ("undetermined", None)
    assert weighed(coins(Bearing.SUPPORTING, 1), order("reference"))[0] == "same initialisation or derivative"
    assert weighed(coins(Bearing.SUPPORTING), order("candidate"))[0] == "common origin"


def test_descent() -> None:
    assert weighed(TUNED)[0] == "same initialisation or derivative"
    assert weighed(TUNED, descent("child", "reference")) == ("copy or derivative", None)
    assert weighed(TUNED, descent("same"))[0] == "copy or derivative"
    assert weighed(TUNED, descent("child", "reference"), order("reference"))[1] == "reference"
    assert weighed(TUNED, descent("apart"))[0] == "common ancestor", "siblings"
    assert weighed(TUNED, descent("apart", most=0.97))[0] == "same initialisation or derivative"
    assert weighed(TUNED, descent("unclear"))[0] == "same initialisation or derivative"


def test_merges() -> None:
    assert weighed(TUNED, merge())[0] == "merge"
    assert weighed(MADE, merge(unexplained=0.49))[0] == "copy or derivative"
    assert weighed(TUNED, merge(coefficient=0.01))[0] == "same initialisation or derivative"
    assert weighed(TUNED, merge(parts=0))[0] == "same initialisation or derivative"
    assert weighed(TUNED, merge(), order("reference")) == ("merge", None), "either side can be the merged one"
    assert weighed(TUNED, merge(), order("reference"), arrow("reference")) == ("merge", "reference")


def static(channel: str, side: Side | None = None) -> Finding:
    measures = (Measure("explain.base", 5, n=10),)
    return Finding(f"{channel}.x", channel, Message("m"), Bearing.DISTINCTIVE, measures=measures, arrow=side)


def concluded(*findings: Finding) -> tuple[Relation, Side | None]:
    got = conclude(findings, same_digest=False, bases_given=True, examined=("code",))
    return got.relation, got.source


def test_files_need_every_file_witnessed() -> None:
    files = (static("code"), static("tokenizer", "reference"))
    assert concluded(*files) == ("copy or derivative", None)
    assert concluded(*files, order("reference")) == ("copy or derivative", "reference")
    assert concluded(*files, order("reference", whole=False)) == ("copy or derivative", None)
    assert concluded(*files, order("candidate")) == ("copy or derivative", None), "left-overs point elsewhere"


def test_files_and_weights_together() -> None:
    files = (static("code"), static("tokenizer", "reference"))
    assert concluded(*files, MADE, order("reference", whole=False)) == ("copy or derivative", "reference")
    assert concluded(*files, MADE, order("reference"), arrow("candidate")) == ("copy or derivative", None)


def test_e_values() -> None:
    assert e_value(0.0) == 0.5
    assert e_value(-4.0) == pytest.approx(50.0)
    assert e_value(-300.0) == CAP
    assert e_value(float("-inf")) == CAP
    two = [coins(Bearing.DISTINCTIVE), coins(Bearing.SUPPORTING)]
    assert channel_e(two) == CAP
    weak = Finding("a", "answers", Message("m"), Bearing.SUPPORTING, Strength("calibrated", -2.0))
    assert channel_e([weak]) == pytest.approx(5.0)
    assert channel_e([weak, weak]) == pytest.approx(5.0 / 2**0.5), "two p in one channel"
    got = headline([weak])
    assert got is not None
    assert got.params["e"] == pytest.approx(3.0), "the absent channel counts as 1"
    chance = Finding("c", "weights", Message("m"), Bearing.AGAINST, Strength("exact", -0.2))
    assert headline([chance]) is None
    assert headline([chance, weak]) is not None
    assert headline([coins(Bearing.CONTEXT)]) is None, "a base explains it"
    assert headline([Finding("a", "answers", Message("m"), strength=Strength("descriptive", -9.0))]) is None
