"""``apograph lab train``: the models that are trained from a start of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apograph.cli.options import Quiet
from apograph.report.words import say

if TYPE_CHECKING:
    from apograph.lab.recipes import Recipe

Small = Annotated[bool, typer.Option("--small", help=say("cli.lab.small"))]
Seeds = Annotated[int, typer.Option("--seeds", min=2, help=say("cli.lab.seeds"))]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help=say("cli.lab.jobs"))]


def train(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=say("cli.lab.train.out"))],
    seeds: Seeds = 30,
    small: Small = False,
    jobs: Jobs = 1,
    quiet: Quiet = False,
) -> int:
    """Train what the folder still lacks of the models; returns 0."""
    from apograph.lab.plan_trained import trained

    return made(out, trained(seeds, small), jobs, quiet)


def made(folder: Path, recipes: Sequence[Recipe], jobs: int, quiet: bool) -> int:
    """Make what is missing of ``recipes`` and say how many there are."""
    from apograph.cli.progress import Progress
    from apograph.lab.make import make_all
    from apograph.minicpmv.loading import need

    need("torch", "transformers", "tokenizers", "peft", extra="lab")
    with Progress(quiet) as shown:
        new = make_all(folder, recipes, shown.making, jobs)
    print(say("cli.lab.made", new=new, n=len(recipes), path=str(folder)))
    return 0
