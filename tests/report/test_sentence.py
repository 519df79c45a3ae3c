"""Messages become safe sentences, whatever their parameters."""

from apograph.findings import Message
from apograph.report.sentence import sentence


def test_parameters_are_made_visible_and_bounded() -> None:
    shown = sentence(Message("cli.error.usage", {"reason": "\x1b[2J" + "a" * 1000}))
    assert shown.startswith("\\x1b[2Jaaa")
    assert "aaa… (" in shown
    assert len(shown) < 600


def test_what_the_catalogue_lacks_is_shown_by_its_key() -> None:
    assert sentence(Message("plugin.finding", {"n": 3, "name": "\n"})) == "plugin.finding (n=3, name=\\n)"
    assert sentence(Message("no\x1bkey")) == "no\\x1bkey"
    assert sentence(Message("cli.error.usage")) == "cli.error.usage"
    assert sentence(Message("cli.error.byte", {"n": {}})) == "byte {}"  # type: ignore[dict-item]
