"""Small helpers with which findings about answers are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from apograph.findings import Exhibit, Measure, Message, Param, Strength

CHANNEL = "answers"
Effect = tuple[float, float, float]
SHARES = frozenset(
    ("agreement", "contained_first", "contained_second", "character_identical", "low_margin", "upper_rate")
)
"""Measures that are shares of 1; a reader sees them in per cent."""


def words(key: str, **params: Param) -> Message:
    """The message ``answers.<key>``."""
    return Message(f"answers.{key}", params)


def measure(name: str, value: float | None, n: int | None = None, interval: Effect | None = None) -> Measure:
    """The measure ``answers.<name>``; a value without a finite number is undefined."""
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    spread = None if interval is None else interval[1:]
    return Measure(f"answers.{name}", value, "share" if name in SHARES else "", n, spread)


def effect(name: str, found: Effect | None, n: int) -> tuple[Measure, ...]:
    """The measure of an effect size with its interval, nothing where it is undefined."""
    return () if found is None else (measure(name, found[0], n, found),)


def table(caption: Message, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Exhibit:
    """A table exhibit; headings are names below ``column.answers``."""
    return Exhibit(
        "table", {"columns": [f"answers.{c}" for c in columns], "rows": [list(r) for r in rows]}, caption
    )


def strength(kind: Any, log10_p: float | None, null: Message) -> Strength:
    """A strength whose probability is never below what a double of log10 can hold as a number."""
    if log10_p is None or not math.isfinite(log10_p):
        return Strength("descriptive")
    return Strength(kind, log10_p, null)


def short(text: str, limit: int = 160) -> str:
    """Text cut to ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
