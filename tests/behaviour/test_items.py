import hashlib
from pathlib import Path
from typing import Any

import pytest

from apograph.behaviour.items import choose, commit, commitment, read_items, verify
from apograph.behaviour.join import join
from apograph.findings import Refusal
from tests.behaviour.write import answers, jsonl


def test_the_commitment_by_hand() -> None:
    line = hashlib.sha256(b"apograph items 2\nnonce\na\nb\n").hexdigest()
    assert commitment(["b", "a"], "nonce") == line


def test_commit_and_verify(tmp_path: Path) -> None:
    rows = [{"item": f"q{n}", "prompt": f"What is {n}?"} for n in range(4)]
    items = read_items(jsonl(tmp_path / "i.jsonl", rows))
    kept = commit(items)

    def told(found: list[dict[str, Any]], record: object) -> str:
        return verify(found, record).key.removeprefix("answers.items.")

    assert told(items[::-1], kept) == "same"
    assert verify(items[:3], kept).params == {"other": 0, "missing": 1, "named": "–"}
    other = read_items(jsonl(tmp_path / "j.jsonl", [*rows[:3], {"item": "q3", "prompt": "What is 3 ?"}]))
    assert verify(other, kept).params == {"other": 1, "missing": 1, "named": "q3"}
    assert told([*items, items[0]], kept) == "items"
    assert told(items, {**kept, "nonce": "0"}) == "hash"
    assert told(items, {"commitment": kept["commitment"]}) == "format"
    assert told(items, []) == "format"
    assert commit(items)["commitment"] != kept["commitment"]


def test_the_right_answers_are_committed_to(tmp_path: Path) -> None:
    rows = [{"item": f"q{n}", "prompt": f"What is {n}?", "key": str(n)} for n in range(6)]
    kept = commit(read_items(jsonl(tmp_path / "i.jsonl", rows)))
    changed = [{**row, "key": "0"} for row in rows]
    found = verify(read_items(jsonl(tmp_path / "j.jsonl", changed)), kept)
    assert (found.key, found.params["other"], found.params["named"]) == (
        "answers.items.items",
        5,
        "q1, q2, q3, …",
    )
    bare = [{"item": row["item"], "prompt": row["prompt"]} for row in rows]
    assert verify(read_items(jsonl(tmp_path / "k.jsonl", bare)), kept).params["missing"] == 6


def test_the_best_items_are_errors_that_the_panel_makes_differently(tmp_path: Path) -> None:
    key = "AAAAA"
    given = ("BBBBA", "CCBAC", "DABAD")
    sheet = join([answers(tmp_path / f"m{n}.jsonl", one, key) for n, one in enumerate(given)])
    # q0: both panel models err otherwise; q1: one does; q3: none errs; q2: both repeat it; q4: no error.
    assert choose(sheet, 0, [1, 2], 9) == ["i:q0", "i:q1", "i:q3", "i:q2"]
    assert choose(sheet, 0, [1, 2], 2) == ["i:q0", "i:q1"]


@pytest.mark.parametrize(
    "row",
    [
        {"item": "a"},
        {"prompt": "p"},
        {"item": "a", "prompt": ""},
        {"item": "a", "prompt": "p", "options": "x"},
        {"item": "a", "prompt": "p", "item_hash": "wrong"},
    ],
)
def test_bad_items_are_refused(tmp_path: Path, row: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        read_items(jsonl(tmp_path / "i.jsonl", [row]))
    assert caught.value.code == 2


def test_a_name_stands_once(tmp_path: Path) -> None:
    with pytest.raises(Refusal):
        read_items(jsonl(tmp_path / "i.jsonl", [{"item": "a", "prompt": "p"}] * 2))
