"""``apograph report``: a saved report, shown again."""

from __future__ import annotations

from pathlib import Path

from apograph.cli import EXAMINED
from apograph.cli.options import Html, Json, Lang, Saved, Sinks, Verbose


def report(
    saved: Saved, json: Json = None, html: Html = None, lang: Lang = "en", verbose: Verbose = False
) -> int:
    """Show a saved report and write it where asked; returns 0. Raises Refusal as ``json_format.read``."""
    from apograph.report.json_format import read

    with Sinks(json, html, lang, verbose) as sinks:
        sinks.write(read(Path(saved)))
    return EXAMINED
