"""``apograph lab derive``: what is made from the trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apograph.cli.lab_train import Jobs, Seeds, Small, made
from apograph.cli.options import Quiet
from apograph.findings import Message, Refusal
from apograph.report.words import say


def derive(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=say("cli.lab.derive.folder"))],
    seeds: Seeds = 30,
    small: Small = False,
    jobs: Jobs = 1,
    quiet: Quiet = False,
) -> int:
    """Make what the folder still lacks of the derivatives; returns 0. Raises Refusal 4 when a trained model
    that they need is missing."""
    from apograph.lab.make import finished
    from apograph.lab.plan_derived import derived
    from apograph.lab.plan_trained import trained

    recipes = derived(seeds, small)
    missing = [r.name for r in trained(seeds, small) if not finished(folder, r.name)]
    if missing:
        raise Refusal(4, Message("cli.lab.missing", {"name": missing[0], "n": len(missing)}), str(folder))
    return made(folder, recipes, jobs, quiet)
