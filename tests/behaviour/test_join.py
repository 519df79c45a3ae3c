import random
from pathlib import Path

import numpy as np
import pytest

from apograph.behaviour.canonical import EMPTY, FAILED, MISSING, REFUSED
from apograph.behaviour.join import join
from apograph.behaviour.records import content_hash
from apograph.findings import Refusal
from tests.behaviour.write import answers, jsonl


def test_rows_in_any_order_join_the_same(tmp_path: Path) -> None:
    rows = [{"item_hash": f"h{n}", "item": str(n), "raw": f"a{n}", "key": f"a{n % 7}"} for n in range(50)]
    first = jsonl(tmp_path / "a.jsonl", rows)
    shuffled = rows[:]
    random.Random(3).shuffle(shuffled)
    second = jsonl(tmp_path / "b.jsonl", shuffled)
    sheet = join([first, second])
    assert (sheet.columns[0].codes == sheet.columns[1].codes).all()
    assert sheet.right(0).sum() == sheet.right(1).sum() == 7
    assert [c.name for c in sheet.columns] == ["a", "b"]


def test_unequal_sets_of_items(tmp_path: Path) -> None:
    a, b = answers(tmp_path / "a.jsonl", "AB..", "AAAA"), answers(tmp_path / "b.jsonl", ".BCA", "AAAA")
    sheet = join([a, b])
    assert len(sheet.items) == 4
    assert (sheet.valid(0) & sheet.valid(1)).sum() == 1
    assert sheet.count(0, MISSING) == 2
    assert sheet.count(1, MISSING) == 1


def test_no_answers_are_counted_apart_and_never_match(tmp_path: Path) -> None:
    rows = [
        {"item": "1", "raw": "", "key": "A"},
        {"item": "2", "raw": "I'm sorry, but I can't answer.", "key": "A"},
        {"item": "3", "raw": "no letter here", "key": "A"},
        {"item": "4", "raw": "B", "state": "failure", "key": "A"},
        {"item": "5", "raw": None, "key": "A"},
        {"item": "6", "raw": "B", "key": "A"},
    ]
    sheet = join([jsonl(tmp_path / "a.jsonl", rows), jsonl(tmp_path / "b.jsonl", rows)], kind="choice")
    assert [sheet.count(0, code) for code in (MISSING, EMPTY, REFUSED, FAILED)] == [1, 1, 1, 2]
    assert sheet.same(0, 1).tolist() == [False] * 5 + [True]
    assert sheet.valid(0).sum() == 1


def refusal(*arguments: object, **more: object) -> str:
    with pytest.raises(Refusal) as caught:
        join(*arguments, **more)  # type: ignore[arg-type]
    assert caught.value.code == 2
    return caught.value.message.key


def test_contradictions_are_refused(tmp_path: Path) -> None:
    def one(name: str, **row: object) -> Path:
        return jsonl(tmp_path / f"{name}.jsonl", [{"item_hash": "x", "item": "q", "raw": "A", **row}])

    base = one("base", prompt_hash="p", key="A")
    assert refusal([base, one("b", prompt_hash="other")]) == "readers.answers.prompts"
    assert refusal([base, one("c", key="B")]) == "readers.answers.keys"
    assert refusal([base, one("d", item_hash="y")]) == "readers.answers.otherwise"
    assert refusal([base, one("f", item_hash="y", item="r")]) == "readers.answers.disjoint"
    twice = jsonl(tmp_path / "e.jsonl", [{"item": "q", "raw": "A"}, {"item": "q", "raw": "B"}])
    assert refusal([twice, twice]) == "readers.answers.twice"
    assert refusal([base], key=one("k", item_hash="z", item="zz", key="A")) == "readers.answers.disjoint"


def test_repeated_rows_and_samples(tmp_path: Path) -> None:
    rows = [{"item": "q", "raw": raw, "seed": seed} for raw, seed in (("A", 1), ("A", 1), ("B", 2), ("C", 3))]
    column = join([jsonl(tmp_path / "a.jsonl", rows)], kind="text").columns[0]
    assert len(column.repeats[0]) == 2
    assert column.rows == 4


def test_a_key_file_joins_on_names_where_answers_have_no_content(tmp_path: Path) -> None:
    data = jsonl(tmp_path / "a.jsonl", [{"item": "q1", "raw": "Oslo"}, {"item": "q2", "raw": "Rome"}])
    key = tmp_path / "key.csv"
    key.write_text("id,answer\nq2,Rome\nq1,Paris\n")
    sheet = join([data, data], key=key)
    assert sheet.right(0).tolist() == [False, True]
    assert not join([data, data]).keyed


def test_margins_and_noise(tmp_path: Path) -> None:
    rows = [{"item": str(n), "raw": "A", "sigma": 0.5, **({"margin": n / 2} if n else {})} for n in range(3)]
    column = join([jsonl(tmp_path / "a.jsonl", rows)]).columns[0]
    assert column.sigma == 0.5
    assert column.margins is not None
    assert np.isnan(column.margins[0])
    assert column.margins[1:].tolist() == [0.5, 1.0]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    a = answers(tmp_path / "a.jsonl", "AB", "AA", name="m")
    b = answers(tmp_path / "b.jsonl", "AB", "AA", name="m")
    assert [c.name for c in join([a, b]).columns] == ["m (1)", "m (2)"]


def test_near_boxes_are_the_same_action_and_not_identical(tmp_path: Path) -> None:
    a = jsonl(tmp_path / "a.jsonl", [{"item": "s", "raw": "click <box>732 292 792 328</box>"}])
    b = jsonl(tmp_path / "b.jsonl", [{"item": "s", "raw": "click <box>715 292 802 328</box>"}])
    sheet = join([a, b])
    assert sheet.kind == "action"
    assert sheet.same(0, 1).tolist() == [True]
    assert sheet.identical(0, 1).tolist() == [False]


def asked(path: Path, start: str, prompts: str, **more: object) -> Path:
    """Answers "a" to prompts of one letter; the items are named ``start`` and a number."""
    rows = [{"item": f"{start}{n}", "prompt": p, "raw": "a", **more} for n, p in enumerate(prompts)]
    return jsonl(path, rows)


def test_items_of_other_names_are_joined_on_what_they_show(tmp_path: Path) -> None:
    mine = asked(tmp_path / "a.jsonl", "q", "xyz")
    logged = [
        {"doc_id": n, "doc_hash": f"d{n}", "arguments": [[p, {}]], "prompt_hash": f"p{n}", "target": "a",
         "resps": [["a"]], "filtered_resps": ["a"]}
        for n, p in enumerate("zyx")
    ]  # fmt: skip
    sheet = join([mine, jsonl(tmp_path / "b.jsonl", logged)])
    assert len(sheet.items) == 3
    assert all(item.startswith("p:") for item in sheet.items)
    assert sheet.names == ("q0", "q1", "q2")
    assert sheet.right(0).all()
    assert sheet.same(0, 1).all()
    stated = [
        {"item": p, "item_hash": p, "content_hash": content_hash(p), "raw": "a", "prompt_hash": "ours"}
        for p in "yzx"
    ]
    assert len(join([mine, jsonl(tmp_path / "c.jsonl", stated)]).items) == 3


def test_items_that_look_alike_are_not_joined_on_what_they_show(tmp_path: Path) -> None:
    """A thousand pictures may share one prompt: it does not tell them apart."""
    a, b = asked(tmp_path / "a.jsonl", "a", "xx"), asked(tmp_path / "b.jsonl", "b", "xx")
    assert refusal([a, b]) == "readers.answers.disjoint"
    pictures = asked(tmp_path / "c.jsonl", "c", "x", images=["f00d"])
    assert refusal([asked(tmp_path / "d.jsonl", "d", "x"), pictures]) == "readers.answers.disjoint"


def test_one_name_for_two_contents_is_refused(tmp_path: Path) -> None:
    first = asked(tmp_path / "a.jsonl", "q", "wxyz")
    assert refusal([first, asked(tmp_path / "b.jsonl", "q", "wxyt")]) == "readers.answers.otherwise"
    assert refusal([first, asked(tmp_path / "c.jsonl", "q", "wxyz", options=["A"])]) == (
        "readers.answers.otherwise"
    )
    assert len(join([first, asked(tmp_path / "d.jsonl", "q", "wx")]).items) == 4
    # numbers that begin anew for every task name nothing
    tasks = [{"item": str(n % 2), "prompt": p, "raw": "a"} for n, p in enumerate("stuv")]
    other = [{"item": str(n % 2), "prompt": p, "raw": "a"} for n, p in enumerate("stxy")]
    assert len(join([jsonl(tmp_path / "e.jsonl", tasks), jsonl(tmp_path / "f.jsonl", other)]).items) == 6


def test_a_file_without_content_is_joined_on_names(tmp_path: Path) -> None:
    shown = asked(tmp_path / "a.jsonl", "q", "xy")
    bare = jsonl(tmp_path / "b.jsonl", [{"item": f"q{n}", "raw": "a"} for n in (1, 0)])
    sheet = join([shown, bare])
    assert sheet.items == ("i:q0", "i:q1")
    assert sheet.same(0, 1).all()
    changed = asked(tmp_path / "c.jsonl", "q", "xt")
    assert refusal([shown, bare, changed]) == "readers.answers.otherwise"


def test_a_key_file_of_names_serves_answers_with_content(tmp_path: Path) -> None:
    key = tmp_path / "key.csv"
    key.write_text("item,key\nq1,a\nq0,b\n")
    first = asked(tmp_path / "a.jsonl", "q", "xy")
    assert join([first, first], key).right(0).tolist() == [False, True]
    tasks = [{"item": "q0", "prompt": p, "raw": "a"} for p in "stuv"]
    twice = jsonl(tmp_path / "b.jsonl", tasks)
    assert refusal([twice, twice], key) == "readers.answers.disjoint"


def test_what_harnesses_write_for_no_answer_never_matches(tmp_path: Path) -> None:
    texts = ("[invalid]", "Failed to obtain answer via API. ")
    rows = [{"item": str(n), "raw": raw, "key": "a"} for n, raw in enumerate(texts)]
    first = jsonl(tmp_path / "a.jsonl", rows)
    sheet = join([first, first], kind="text")
    assert sheet.count(0, FAILED) == 2
    assert not sheet.same(0, 1).any()
