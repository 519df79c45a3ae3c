"""``apograph lab WHAT``: releases of known descent. A new WHAT is a file ``lab_what.py`` and a name here."""

from __future__ import annotations

from importlib import import_module

import typer

from apograph.report.words import say

WHAT: tuple[str, ...] = ("train", "derive", "measure", "read", "glyphs")

lab = typer.Typer(add_completion=False, rich_markup_mode=None)
for _what in WHAT:
    lab.command(_what, help=say(f"cli.lab.{_what}.help"))(
        getattr(import_module(f"apograph.cli.lab_{_what}"), _what)
    )
