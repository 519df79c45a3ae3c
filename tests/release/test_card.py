import pytest

from apograph.release.card import MAX_CARD, read_card
from apograph.report.words import text
from tests.release.refusals import refused


def test_front_matter_and_text():
    card, faults = read_card(
        b"---\r\nlicense: mit\r\nbase_model:\r\n- a/b\r\n---\r\n# Title\r\n", "README.md"
    )
    assert card.declared == {"license": "mit", "base_model": ["a/b"]}
    assert (card.text, card.path, faults) == ("# Title\n", "README.md", ())


@pytest.mark.parametrize("data", [b"# Title\n---\na: 1\n---\n", b"---\na: 1\n", b"", b"----\na: 1\n---\n"])
def test_without_front_matter_everything_is_text(data):
    card, faults = read_card(data, "README.md")
    assert (card.declared, card.text, faults) == ({}, data.decode(), ())


def test_empty_front_matter():
    assert read_card(b"---\n---\nx", "README.md")[0].text == "x"


@pytest.mark.parametrize("front", [b"a: &x [1]\nb: *x", b"- a", b"a: !!python/object:os.system x"])
def test_what_is_not_understood_is_a_fault(front):
    card, faults = read_card(b"---\n" + front + b"\n---\ntext", "README.md")
    assert (card.declared, card.text) == ({}, "text")
    assert faults[0].fault
    assert faults[0].path == "README.md"
    assert text(faults[0].reason)


def test_limits():
    assert refused(lambda: read_card(b"x" * (MAX_CARD + 1), "README.md")).code == 5
    front = b"---\na: " + b"x" * (1 << 20) + b"\n---\n"
    assert refused(lambda: read_card(front, "README.md")).code == 5
    assert refused(lambda: read_card(b"ab\xff", "README.md")).offset == 2
