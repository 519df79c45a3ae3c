import pytest

from apograph.behaviour.canonical import EMPTY, FAILED, REFUSED, canonical, choice, guess_kind


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("b", "B"), (" C ", "C"), ("(D) because", "D"), ("A. Paris", "A"), ("2", "2"),
        ("The answer is C", "C"), ("First option: A, no; the final answer is (B).", "B"), ("Paris", None),
        ("A good question", None), ("I think so", None), ("[E]", "E"),
    ],
)  # fmt: skip
def test_choice(answer: str, letter: str | None) -> None:
    assert choice(answer) == letter


def test_no_answers_are_told_apart() -> None:
    assert canonical("", "text") == EMPTY
    assert canonical(" \n\t", "choice") == EMPTY
    assert canonical("I'm sorry, but I can't read this image.", "text") == REFUSED
    assert canonical("I cannot help with that.", "choice") == REFUSED
    assert canonical("对不起，我无法识别。", "text") == REFUSED
    assert canonical("Paris, of course", "choice") == FAILED
    assert canonical("The button on the left", "action") == FAILED
    assert canonical("I'm sorry " + "x" * 500, "text") != REFUSED


def test_unicode_and_blanks_do_not_tell_answers_apart() -> None:
    assert canonical("cafe\u0301  au\nlait ", "text") == canonical("café au lait", "text") == "café au lait"
    assert canonical("Cafe", "text") != canonical("café", "text")
    assert canonical("a\r\nb\n", "transcript") == "a\nb"


def test_kinds_are_guessed_from_the_answers() -> None:
    assert guess_kind(["long answer"] * 3, [4, 4, 4]) == "choice"
    assert guess_kind(["A", "c"], [0, 0]) == "choice"
    assert guess_kind(["click <box>1 2 3 4</box>", "hover <box>1 2 3 4</box>", "?"], [0, 0, 0]) == "action"
    assert guess_kind(["x" * 300, "y" * 300, "z"], [0, 0, 0]) == "transcript"
    assert guess_kind(["Paris", "Rome"], [0, 0]) == "text"
    assert guess_kind([], []) == "text"
