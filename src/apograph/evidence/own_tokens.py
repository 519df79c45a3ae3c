"""Special tokens that code or a chat template writes and the vocabulary lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apograph.evidence.consistency_rows import finding
from apograph.findings import Bearing, Finding, Json, Location, Side
from apograph.release.types import Release

_TEMPLATE_TOKEN = re.compile(r"<\|[a-zA-Z0-9_]{2,40}\|>")


def missing_tokens(side: Side, release: Release, code: dict[str, Any]) -> Iterator[Finding]:
    """One finding that lists them. Only where the whole vocabulary can be read."""
    tokenizer = release.tokenizer
    if tokenizer is None or tokenizer.vocab is None:
        return
    known = set(tokenizer.vocab) | {t.content for t in tokenizer.added} | set(tokenizer.special.values())
    rows: list[list[Json]] = [
        [r["token"], f"{r['path']}:{r['line']}"] for r in code["tokens"] if r["token"] not in known
    ]
    places = [
        Location(side, r["path"], release.revision, r["line"], r["line"])
        for r in code["tokens"]
        if r["token"] not in known
    ]
    template = tokenizer.chat_template or ""
    path = next((f for f in tokenizer.files if "config" in f), tokenizer.files[0] if tokenizer.files else "")
    written = {str(r[0]) for r in rows}
    for token in sorted(set(_TEMPLATE_TOKEN.findall(template)) - known - written):
        rows.append([token, path])
        places.append(Location(side, path, release.revision))
    if rows:
        yield finding(
            "tokens", side, {"n": len(rows)}, rows=rows, columns=("token", "place"),
            locations=tuple(places), bearing=Bearing.CONTEXT,
        )  # fmt: skip
