"""The catalogue of words: every sentence that a person reads, by key and language.

``en/<channel>.toml`` holds the words of one channel. ``text(Message)`` fills a sentence. In a sentence,
``{n:tensor|tensors}`` prints the number and the fitting noun, ``{n:+is|are}`` the fitting word
alone; ``{list:channels}`` prints the names of channels in words; ``{name}`` prints a value as it is. A share
that is formatted in per cent is never rounded to all or nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any

from apograph.findings import Message


class _Words(Formatter):
    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def format_field(self, value: Any, format_spec: str) -> str:
        if "|" in format_spec:
            one, many = format_spec.removeprefix("+").split("|", 1)
            fitting = one if value == 1 else many
            return fitting if format_spec.startswith("+") else f"{value:,} {fitting}"
        if format_spec == "channels":
            return ", ".join(self._words.get(f"channel.{name}", name).lower() for name in value.split(", "))
        if format_spec.endswith("%"):
            return percent(value, format_spec)
        if format_spec == "" and isinstance(value, int) and not isinstance(value, bool):
            return f"{value:,}"
        return str(super().format_field(value, format_spec))

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        # Only plain names: a sentence never reaches into a value's attributes.
        return kwargs[field_name], field_name


def percent(share: float, spec: str = ".1%") -> str:
    """A share of 1 in per cent; ``spec`` is a format such as ``.0%``.

    A part is never rounded to none or all: ``<0.1%`` and ``>99.9%`` are the ends.
    """
    told, step = format(share, spec), 10.0 ** -(int(spec[1:-1]) + 2)
    if 0 < share < 1 and told == format(0.0, spec):
        return f"<{format(step, spec)}"
    if 0 < share < 1 and told == format(1.0, spec):
        return f">{format(1 - step, spec)}"
    return told


@cache
def languages() -> tuple[str, ...]:
    """The languages that have a catalogue."""
    return tuple(sorted(f.name for f in files(__package__).iterdir() if (f / "report.toml").is_file()))


@cache
def catalogue(lang: str = "en") -> dict[str, str]:
    """All entries of one language: dotted key to sentence.

    Raises KeyError for a language without a catalogue and ValueError for a key that stands twice.
    """
    folder = files(__package__) / lang
    if not folder.is_dir():
        raise KeyError(lang)
    entries: dict[str, str] = {}
    for source in sorted(folder.iterdir(), key=lambda f: f.name):
        if source.name.endswith(".toml"):
            for key, sentence in _flatten(tomllib.loads(source.read_text("utf-8"))):
                if key in entries:
                    raise ValueError(f"{key} stands twice in the catalogue")
                entries[key] = sentence
    return entries


def _flatten(table: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for key, value in table.items():
        flat += (
            _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, str(value))]
        )
    return flat


def text(message: Message, lang: str = "en") -> str:
    """The sentence of a message. Values are inserted as they are: the caller escapes for its medium."""
    words = catalogue(lang)
    return _Words(words).vformat(words[message.key], (), dict(message.params))


def say(key: str, lang: str = "en", /, **params: Any) -> str:
    """``text`` for a key and its parameters."""
    return text(Message(key, params), lang)
