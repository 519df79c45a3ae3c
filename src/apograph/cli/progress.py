"""What is being done, on standard error, while a person watches."""

from __future__ import annotations

import sys
from types import TracebackType

from apograph.report.escape import visible
from apograph.report.words import say

_EVERY = 0.2
"""Seconds between two states of a long reading."""


class Progress:
    """One line that is written over; silent unless standard error is a terminal, and when ``quiet``."""

    def __init__(self, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._told = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")

    def opening(self) -> None:
        """The releases are being opened."""
        self._write(say("cli.progress.opening"))

    def __call__(self, examiner: str, number: int, total: int) -> None:
        """An examiner begins: the ``weigh.examine.Progress`` of this command line."""
        self._write(
            say("cli.progress.examining", number=number + 1, total=total, examiner=visible(examiner, 50))
        )

    def making(self, done: int, total: int, name: str) -> None:
        """A release of the lab is being made: the ``lab.make.Progress`` of this command line."""
        self._write(say("cli.lab.making", number=done + 1, total=total, name=name))

    def reading(self, done: int, total: int, seconds: float) -> None:
        """Elements of weights read so far: the ``evidence.stream.Progress`` of this command line."""
        if self._shown and (done == total or seconds >= self._told + _EVERY):
            self._told = seconds if done < total else 0.0
            rate = done / max(seconds, 1e-9)
            self._write(
                say(
                    "cli.progress.reading",
                    share=done / max(total, 1),
                    millions=total / 1e6,
                    rate=rate / 1e6,
                    left=(total - done) / max(rate, 1e-9),
                )
            )

    def _write(self, line: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
