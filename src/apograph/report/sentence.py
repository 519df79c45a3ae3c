"""A message as a sentence that is safe to show."""

from __future__ import annotations

from apograph.findings import Message
from apograph.report.escape import visible
from apograph.report.words import text

_LONGEST = 500


def sentence(message: Message, lang: str = "en") -> str:
    """The sentence of ``message`` with its parameters made visible, each at most 500 characters long.

    A saved report may come from anyone, or name the words of an examiner that is not installed here: a
    message that the catalogue cannot fill is shown as its key and parameters.
    """
    params = {
        name: visible(value, _LONGEST) if isinstance(value, str) else value
        for name, value in message.params.items()
    }
    try:
        return text(Message(message.key, params), lang)
    except (KeyError, ValueError, TypeError):
        shown = ", ".join(f"{visible(name, 60)}={value}" for name, value in params.items())
        return visible(f"{message.key} ({shown})" if shown else message.key, _LONGEST)
