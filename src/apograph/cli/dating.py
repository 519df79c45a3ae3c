"""Dates that a command is given: witness files, opened and checked, and statements of first publication."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apograph.cli.case import Dating
from apograph.findings import Message, Refusal, Side

if TYPE_CHECKING:
    from apograph.release.witness import Witness

_STATED = re.compile(r"(reference|candidate)=(\d{4}-\d{2}-\d{2})")


def opened_witnesses(dating: Dating) -> tuple[tuple[Witness, ...], dict[Side, int]]:
    """The witnesses, and by side the first second (UTC) of the stated day.

    Raises Refusal 4 for a statement that is none, and as ``read_roots`` and ``read_witness`` do.
    """
    published = _stated(dating.published)
    if not dating.witnesses and not dating.roots:
        return (), published
    from apograph.release.witness import read_roots, read_witness

    roots = read_roots(dating.roots)
    return tuple(read_witness(path, roots) for path in dating.witnesses), published


def _stated(statements: tuple[str, ...]) -> dict[Side, int]:
    published: dict[Side, int] = {}
    for statement in statements:
        found = _STATED.fullmatch(statement)
        side: Side = "reference" if found and found[1] == "reference" else "candidate"
        if found is None or side in published:
            raise Refusal(4, Message("cli.error.published"), statement)
        try:
            published[side] = int(datetime.fromisoformat(found[2]).replace(tzinfo=UTC).timestamp())
        except (ValueError, OverflowError):
            raise Refusal(4, Message("cli.error.published"), statement) from None
    return published
