"""What recorded answers show: the channel of behaviour (``docs/behaviour.md``)."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.evidence.registry import Case, examiner
from apograph.findings import Finding, Unexamined


@examiner("answers")
def answers(case: Case) -> Iterator[Finding | Unexamined]:
    """The findings of ``case.answers`` (``behaviour.answers.Answers``), when answers were given.

    They are computed where the statistics are; this room knows the answers only by what they tell.
    """
    if case.answers is not None:
        yield from case.answers.findings()
