"""``apograph explain``: what a finding means."""

from __future__ import annotations

from typing import Annotated

import typer

from apograph.cli import EXAMINED
from apograph.cli.options import Lang
from apograph.findings import Message, Refusal
from apograph.report.words import catalogue, languages, say

_EXPLAIN = ".explain"


def explain(
    finding: Annotated[
        str | None, typer.Argument(metavar="FINDING-ID", help=say("cli.explain.finding"), show_default=False)
    ] = None,
    lang: Lang = "en",
) -> int:
    """Print what a finding means, or the titles of all; returns 0. Raises Refusal 4 for an unknown id or
    language."""
    from textwrap import fill

    if lang not in languages():
        raise Refusal(4, Message("cli.error.language", {"lang": lang, "known": ", ".join(languages())}))
    known = sorted(key.removesuffix(_EXPLAIN) for key in catalogue(lang) if key.endswith(_EXPLAIN))
    if finding is None:
        from apograph.report.view import title

        breadth = max(map(len, known))
        print("\n".join(f"{name:{breadth}}  {title(name, lang)}" for name in known))
        return EXAMINED
    name = finding.partition(":")[0]
    if name not in known:
        raise _unknown(name, known)
    print(fill(say(name + _EXPLAIN, lang), 80))
    return EXAMINED


def _unknown(name: str, known: list[str]) -> Refusal:
    from difflib import get_close_matches

    near = get_close_matches(name[:100], known, 3, 0.4)
    if near:
        return Refusal(4, Message("cli.error.finding_near", {"name": name[:100], "near": ", ".join(near)}))
    return Refusal(4, Message("cli.error.finding", {"name": name[:100]}))
