"""From files to findings."""

import math
from pathlib import Path

import numpy as np
import pytest

from apograph.behaviour.answers import Answers, load_answers, prepare
from apograph.behaviour.sheet import Column, Sheet
from apograph.behaviour.simulate import copied, simulate
from apograph.findings import Bearing, Finding, Unexamined
from apograph.plain import dump
from apograph.report.sentence import sentence
from apograph.report.words import catalogue
from tests.behaviour.write import answers, jsonl


def found(loaded: Answers) -> dict[str, Finding]:
    return {one.id: one for one in loaded.findings() if isinstance(one, Finding)}


def gaps(loaded: Answers) -> list[str]:
    return [one.reason.key for one in loaded.findings() if isinstance(one, Unexamined)]


def value(finding: Finding, name: str) -> object:
    return next(m.value for m in finding.measures if m.name == f"answers.{name}")


def check_words(findings: dict[str, Finding]) -> None:
    """Every message can be filled, every measure named, every id explained; everything is plain data."""
    words = catalogue("en")
    for finding in findings.values():
        for message in (
            finding.message,
            *finding.alternatives,
            *finding.limits,
            *(exhibit.caption for exhibit in finding.exhibits),
            *([finding.strength.null] if finding.strength.null else []),
        ):
            assert message.key in words
            told = sentence(message)
            assert not told.startswith(message.key), told
        assert all(f"measure.{m.name}" in words for m in finding.measures)
        assert f"{finding.id}.explain" in words
        for exhibit in finding.exhibits:
            assert all(f"column.{c}" in words for c in exhibit.data.get("columns", ()))
        dump(finding)


def founding(panel: int) -> Sheet:
    """The founding case's counts as answers: 752 right in both, 54 and 12 errors of one side, 182 shared of
    which 118 identical; and a panel of unrelated models that are right as often and share no wrong answer."""
    first = [0] * 752 + [1] * 54 + [0] * 12 + [1] * 182
    second = [0] * 752 + [0] * 54 + [2] * 12 + [1] * 118 + [2] * 64
    rng = np.random.default_rng(1)
    rows = [first, second]
    rows += [np.where(rng.random(1000) < 0.2, 10 + j, 0).tolist() for j in range(panel)]
    return Sheet(
        "text",
        tuple(f"i:slip {n}" for n in range(1000)),
        tuple(Column(f"m{j}", "", "", np.array(row, np.int32)) for j, row in enumerate(rows)),
        np.zeros(1000, np.int32),
        np.zeros(1000, np.int16),
        tuple(f"reading {n}" for n in range(100)),
    )


def test_the_founding_case_with_a_panel() -> None:
    findings = found(prepare(founding(20), 0, 1, range(2, 22)))
    check_words(findings)
    overlap = findings["answers.overlap"]
    assert overlap.message.params["s"] == 182
    assert overlap.message.params["expected"] == pytest.approx(45.8, abs=0.05)
    assert value(overlap, "independence") == pytest.approx(math.log10(4.3e-133), abs=0.005)
    assert overlap.strength.log10_p is None
    identical = findings["answers.identical"]
    assert (identical.message.params["s"], identical.message.params["m"]) == (182, 118)
    assert identical.bearing is Bearing.DISTINCTIVE
    assert identical.strength.kind == "calibrated"
    assert identical.strength.log10_p == pytest.approx(-9, abs=0.01)
    assert findings["answers.rank"].strength.log10_p == pytest.approx(math.log10(1 / 21))
    direction = findings["answers.direction"]
    assert direction.message.key == "answers.direction.candidate"
    assert direction.arrow is None


def test_without_a_panel_nothing_is_claimed() -> None:
    loaded = prepare(founding(0), 0, 1, [])
    findings = found(loaded)
    check_words(findings)
    identical = findings["answers.identical"]
    assert identical.strength.log10_p is None
    assert identical.bearing is Bearing.CONTEXT
    assert [limit.key for limit in identical.limits] == ["answers.limit.no_panel"]
    assert "answers.rank" not in findings


def test_a_weak_panel_makes_the_strength_descriptive() -> None:
    rng = np.random.default_rng(3)
    sheet = copied(rng, simulate(rng, 800, [2.0, 2.0, *[0.0] * 20], options=300), 0, 1, 0.9)
    findings = found(prepare(sheet, 0, 1, range(2, 22)))
    identical = findings["answers.identical"]
    assert identical.strength.log10_p is None
    assert "answers.limit.weak_panel" in [limit.key for limit in identical.limits]
    assert identical.bearing is Bearing.SUPPORTING


def test_a_weak_panel_alone_supports_nothing() -> None:
    """Unrelated able models that err alike, a weaker panel: it fools the plug-in test, not the finding."""
    rng = np.random.default_rng(6)
    for _ in range(5):
        sheet = simulate(rng, 1000, [0.8, 0.8, *[-1.0] * 12], options=4, sharpen=2.0)
        identical = found(prepare(sheet, 0, 1, range(2, 14)))["answers.identical"]
        assert float(str(value(identical, "plug_in"))) < -2
        assert identical.bearing is Bearing.CONTEXT
        assert identical.strength.log10_p is None


def test_unrelated_models_speak_against() -> None:
    rng = np.random.default_rng(5)
    findings = found(prepare(simulate(rng, 800, [0.5] * 14, options=8), 0, 1, range(2, 14)))
    identical = findings["answers.identical"]
    assert identical.bearing is Bearing.AGAINST
    assert identical.strength.log10_p is None
    check_words(findings)


def test_a_small_panel_gives_the_rank_alone() -> None:
    rng = np.random.default_rng(8)
    sheet = copied(rng, simulate(rng, 500, [1.0] * 6, options=4), 0, 1, 0.9)
    identical = found(prepare(sheet, 0, 1, range(2, 6)))["answers.identical"]
    assert identical.strength.log10_p is None
    assert "answers.limit.no_upper" in [limit.key for limit in identical.limits]


def test_without_a_key_agreement_is_descriptive(tmp_path: Path) -> None:
    rows = [[{"item": str(n), "raw": f"{n * (j > 1) * j}"} for n in range(60)] for j in range(9)]
    paths = [jsonl(tmp_path / f"{j}.jsonl", one) for j, one in enumerate(rows)]
    loaded = load_answers(paths[0], paths[1], paths[2:])
    findings = found(loaded)
    check_words(findings)
    assert findings["answers.identical"].message.key == "answers.identical.found.answers"
    assert findings["answers.identical"].strength.log10_p is None
    assert "answers.unexamined.key" in gaps(loaded)


def test_transcriptions_and_their_structure(tmp_path: Path) -> None:
    key = "Invoice number 12345\nTotal 99 EUR\n" + " ".join(f"word{n}" for n in range(60))

    def told(*changes: tuple[str, str], head: str = "") -> str:
        text = key
        for old, new in changes:
            text = text.replace(old, new)
        return head + text

    texts = {
        "r": told(("12345", "12845"), ("word7 ", "w0rd7 "), head="## Invoice\n"),
        "s": told(("12345", "12845"), ("word9 ", "ward9 "), head="## Invoice\n"),
        **{f"p{n}": told((f"word{n}0 ", "x ")) for n in range(1, 6)},
    }
    paths = {
        name: jsonl(tmp_path / f"{name}.jsonl", [{"item": "page", "raw": text, "key": key}])
        for name, text in texts.items()
    }
    loaded = load_answers(paths["r"], paths["s"], [paths[f"p{n}"] for n in range(1, 6)])
    assert loaded.sheet.kind == "transcript"
    findings = found(loaded)
    check_words(findings)
    overlap = findings["answers.overlap"].message.params
    # The heading and the misread number are shared, one word is either side's own.
    assert (overlap["s"], overlap["a"], overlap["b"]) == (2, 3, 3)
    assert findings["answers.structure"].message.params["m"] == 1
    assert findings["answers.near"].message.key == "answers.near.text"
    identical = findings["answers.identical"]
    assert identical.message.key == "answers.identical.alone.deviations"
    assert [limit.key for limit in identical.limits] == ["answers.limit.panel_right"]
    assert findings["answers.direction"].message.key == "answers.direction.deviations.equal"
    rows = next(e.data["rows"] for e in identical.exhibits if e.kind == "table")
    assert [row[1:4] for row in rows] == [["…", *["# # Invoice ↵"] * 2], ["12345", *["12845"] * 2]]


def test_transcriptions_without_a_key_stand_against_the_panel(tmp_path: Path) -> None:
    text = " ".join(f"word{n}" for n in range(80))
    wrong = text.replace("word7 ", "w0rd7 ")
    told = [("page", said) for said in (wrong, wrong, text, text, text)]
    paths = [jsonl(tmp_path / f"{n}.jsonl", [{"item": i, "raw": t}]) for n, (i, t) in enumerate(told)]
    findings = found(load_answers(paths[0], paths[1], paths[2:]))
    check_words(findings)
    limits = {limit.key: limit.params for limit in findings["answers.compared"].limits}
    assert limits["answers.limit.consensus"] == {"n": 1}
    assert findings["answers.identical"].message.key == "answers.identical.alone.deviations"


def test_actions_are_told_by_their_boxes(tmp_path: Path) -> None:
    base = [{"item": f"s{n}", "key": f"click <box>{n} 0 {n + 90} 90</box>"} for n in range(20)]
    one = [{**row, "raw": f"click <box>{500 + n} 0 {590 + n} 90</box>"} for n, row in enumerate(base)]
    two = [{**row, "raw": f"click <box>{510 + n} 0 {590 + n} 90</box>"} for n, row in enumerate(base)]
    panel = [{**row, "raw": "hover <box>0 0 5 5</box>"} for row in base]
    paths = [jsonl(tmp_path / f"{n}.jsonl", rows) for n, rows in enumerate((one, two, panel))]
    findings = found(load_answers(paths[0], paths[1], paths[2:]))
    check_words(findings)
    assert findings["answers.identical"].message.key == "answers.identical.found.actions"
    assert findings["answers.identical"].message.params["m"] == 20
    assert value(findings["answers.near"], "near_action") == pytest.approx(80 / 90)
    assert value(findings["answers.near"], "character_identical") == 0


def test_noise_margins_and_samples_have_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    letters = "BCDE"

    def rows(flip: float, seeds: int = 1) -> list[dict[str, object]]:
        return [
            {
                "item": str(n),
                "key": "A",
                "raw": letters[n % 4] if rng.random() > flip else "A",
                "margin": 1.0 + n % 7,
                "seed": seed,
                "sigma": flip,
            }
            for n in range(80)
            for seed in range(seeds)
        ]

    paths = [jsonl(tmp_path / f"{n}.jsonl", rows(0.2, 2)) for n in range(2)]
    noised = [jsonl(tmp_path / f"n{n}.jsonl", rows(0.2)) for n in range(3)]
    findings = found(load_answers(paths[0], paths[1], noised=noised))
    check_words(findings)
    assert {"answers.noise", "answers.margins", "answers.samples"} <= set(findings)


def test_a_model_against_itself(tmp_path: Path) -> None:
    given = [answers(tmp_path / f"{n}.jsonl", "ABCDABCD" * 5, "ABCDDCBA" * 5, name="m") for n in range(2)]
    findings = found(load_answers(*given))
    counts = findings["answers.overlap"].message.params
    assert counts["s"] == counts["a"] == counts["b"] == 20
    assert value(findings["answers.overlap"], "kappa") == 1.0
    assert value(findings["answers.overlap"], "odds_ratio") is None
    assert findings["answers.identical"].message.params["m"] == 20
    assert "answers.direction" not in findings


def test_nothing_comparable_is_said(tmp_path: Path) -> None:
    paths = [jsonl(tmp_path / f"{n}.jsonl", [{"item": "q", "raw": "", "key": "A"}]) for n in range(2)]
    assert gaps(load_answers(*paths)) == ["answers.unexamined.nothing"]


@pytest.mark.filterwarnings("error")
def test_nothing_comparable_has_no_indices(tmp_path: Path) -> None:
    paths = [
        jsonl(tmp_path / f"{n}.jsonl", [{"item": "q", "raw": raw, "key": "A"}])
        for n, raw in enumerate(("B", "", "A", "B", "C"))
    ]
    loaded = load_answers(paths[0], paths[1], paths[2:])
    assert gaps(loaded) == ["answers.unexamined.nothing"]
    assert "answers.indices" not in found(loaded)


def test_even_discordant_errors_tell_no_direction() -> None:
    """Nine against seven: a coin shows as much four times in five (sign test)."""
    first = "B" * 30 + "B" * 9 + "A" * 21
    second = "B" * 30 + "A" * 9 + "B" * 7 + "A" * 14
    columns = tuple(
        Column(name, "", "", np.array([ord(c) - 65 for c in given], np.int32))
        for name, given in (("r", first), ("c", second))
    )
    items = tuple(f"i:{n}" for n in range(60))
    sheet = Sheet("choice", items, columns, np.zeros(60, np.int32), np.full(60, 4, np.int16), ("A", "B"))
    direction = found(prepare(sheet, 0, 1, []))["answers.direction"]
    assert direction.message.key == "answers.direction.equal"
