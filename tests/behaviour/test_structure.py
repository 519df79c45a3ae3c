from pathlib import Path

from apograph.behaviour.join import join
from apograph.behaviour.structure import elements, structure_view
from tests.behaviour.write import jsonl

MARKED = "## Total amount\n- one\n- two\n**Seller**\n1. x\nTerms:\nplain text: more"


def test_elements_by_hand() -> None:
    assert elements(MARKED) == {
        "heading 2 Total amount",
        "bullet -",
        "bold Seller",
        "number 1.",
        "label Terms",
    }
    assert elements("| a | b |\n```\ncode") == {"table", "fence"}
    assert elements("nothing of the kind") == frozenset()


def test_who_adds_what_nobody_asked_for(tmp_path: Path) -> None:
    key = "- one\nplain"
    texts = (MARKED, "## Total amount\n* one\nTerms:", "## Other\n- one\n- two", "")
    paths = [
        jsonl(tmp_path / f"{n}.jsonl", [{"item": "p", "raw": text, "key": key}])
        for n, text in enumerate(texts)
    ]
    view, units = structure_view(join(paths, kind="transcript"), 0)
    names = [element for _, element in units]
    assert names == ["bold Seller", "heading 2 Total amount", "label Terms", "number 1."]
    assert view.hit[1].tolist() == [False, True, True, False]
    assert view.hit[2].tolist() == [False] * 4
    assert not view.tried[3].any()
