"""``apograph demo``: the founding case in small, built from nothing and examined."""

from __future__ import annotations

from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import Annotated

import typer

from apograph.cli.case import Inputs
from apograph.cli.options import Quiet
from apograph.findings import Message, Refusal
from apograph.report.words import say

CLAIMS = """\
# What BambooV's announcement said, for the claims channel.
[[claim]]
property = "num_layers"
value = 5
where = "announcement of BambooV: a vision tower of five layers"

[[claim]]
property = "trained_from_scratch"
value = true
where = "README.md of BambooV"
"""
OTHERS = ("cousin", "unrelated")


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=say("cli.demo.out"))] = Path("demo"),
    quiet: Quiet = False,
) -> int:
    """Build the releases, examine them, name the page; returns 0.

    Raises Refusal 4 where nothing can be written.
    """
    from apograph.cli.compare import examined
    from apograph.cli.options import Sinks
    from apograph.report.terminal import one_line

    paths = _releases(out / "releases")
    claims = out / "claims.toml"
    claims.write_text(CLAIMS, encoding="utf-8")
    print(say("cli.demo.built", n=len(paths), path=str(out / "releases")))
    page = out / "report.html"
    with Sinks(str(out / "report.json"), str(page), "en", False) as sinks:
        sinks.write(examined(_inputs(paths, "candidate", claims), only=[], download=False, quiet=quiet))
    for role in OTHERS:
        report = examined(_inputs(paths, role, None), only=[], download=False, quiet=quiet)
        told = say("cli.demo.other", role=role, conclusion=one_line(report))
        print(f"\n{fill(told, get_terminal_size().columns, break_on_hyphens=False)}")
    print(say("cli.demo.report", path=str(page)))
    return 0


def _inputs(paths: dict[str, Path], role: str, claims: Path | None) -> Inputs:
    base = (str(paths["base"]),)
    return Inputs(str(paths["reference"]), str(paths[role]), base, claims=str(claims) if claims else None)


def _releases(folder: Path) -> dict[str, Path]:
    """The five repositories, built unless an earlier run, which builds the same ones, left them here."""
    from apograph.lab.founding.build import build
    from apograph.lab.founding.stories import ROLES

    paths = {role: folder / role for role in ROLES}
    if all((path / ".git").is_dir() for path in paths.values()):
        return paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return build(folder)
    except OSError as error:
        raise Refusal(
            4, Message("cli.demo.unwritable", {"reason": error.strerror or str(error)}), str(folder)
        ) from None
