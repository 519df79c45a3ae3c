from pathlib import Path

from apograph.behaviour.join import join
from apograph.behaviour.pairs import count_pair
from apograph.behaviour.transcripts import Run, consensus, explode, runs, tokens
from tests.behaviour.write import jsonl


def test_tokens_are_words_signs_and_ideographs() -> None:
    assert tokens("Total: 12.5 €\n\n竹簡 ab") == ("Total", ":", "12", ".", "5", "€", "\n", "竹", "簡", "ab")


def test_runs() -> None:
    key = tuple("abcdef")
    assert runs(key, key) == []
    assert runs(key, tuple("abXdef")) == [Run(2, 1, "X")]
    assert runs(key, tuple("abXYdef")) == [Run(2, 1, "X Y")]
    assert runs(key, tuple("abef")) == [Run(2, 2, "")]
    assert runs(key, tuple("abcdefg")) == [Run(6, 0, "g")]
    assert runs(key, tuple("zabcdeQ")) == [Run(0, 0, "z"), Run(5, 1, "Q")]


def test_the_panel_s_consensus() -> None:
    texts = [tuple("abcd"), tuple("abxd"), tuple("abcd!"), tuple("qbcd")]
    assert consensus(texts) == tuple("abcd")
    # The most central one errs alone at its last letter: the majority corrects it.
    assert consensus([tuple("abcz"), tuple("abcd"), tuple("abcd")]) == tuple("abcd")
    assert consensus(texts[:2]) is None


def test_shared_and_unshared_deviations(tmp_path: Path) -> None:
    key = " ".join(f"w{n}" for n in range(100))
    words = key.split()

    def told(**changes: str) -> str:
        return " ".join(changes.get(word, word) for word in words)

    reference = told(w3="XX", w10="YY", w50="ZZ", w51="ZZ")
    candidate = told(w3="XX", w10="QQ", w70="AA")
    paths = [
        jsonl(tmp_path / f"{name}.jsonl", [{"item": "page", "raw": text, "key": key}])
        for name, text in (("r", reference), ("s", candidate))
    ]
    sheet, left_out = explode(join(paths), panel=[])
    assert (len(sheet.items), left_out) == (101, 0)
    counts = count_pair(sheet, 0, 1)
    # One shared (w3), one place where both depart differently (w10), w50-w51 one run of the reference's own.
    assert (counts.identical, counts.different, counts.first, counts.second) == (1, 1, 1, 1)


def test_without_key_or_panel_a_page_is_left_out(tmp_path: Path) -> None:
    paths = [jsonl(tmp_path / f"{n}.jsonl", [{"item": "page", "raw": "word " * 90}]) for n in range(2)]
    sheet, left_out = explode(join(paths), panel=[])
    assert (len(sheet.items), left_out) == (0, 1)
