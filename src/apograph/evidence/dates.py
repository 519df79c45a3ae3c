"""Recorded times as text. They are what the repositories say, in UTC, and can be forged."""

from __future__ import annotations

from datetime import UTC, datetime


def day(seconds: int | None) -> str:
    """ISO date in UTC of a time in seconds since 1970; empty for no time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d") if seconds else ""


def moment(seconds: int) -> str:
    """ISO date and time to the second, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
