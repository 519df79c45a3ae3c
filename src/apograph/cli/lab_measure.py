"""``apograph lab measure``: what examinations conclude about pairs whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apograph.cli.lab_train import Jobs
from apograph.cli.options import Quiet
from apograph.findings import Message, Refusal
from apograph.report.words import say


def measure(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=say("cli.lab.derive.folder"))],
    docs: Annotated[
        Path | None, typer.Option("--docs", metavar="DIR", help=say("cli.lab.measure.docs"))
    ] = None,
    kit: Annotated[
        str | None, typer.Option("--kit", metavar="PYTHON", help=say("cli.lab.measure.kit"))
    ] = None,
    jobs: Jobs = 1,
    quiet: Quiet = False,
) -> int:
    """Examine the pairs that are still missing and write the page; returns 0. Raises Refusal 4 for a folder
    without a manifest or without a release it names, and for a page or kit that is not there."""
    from collections import Counter

    from apograph.cli.progress import Progress
    from apograph.lab.make import release_path
    from apograph.lab.manifest import read_manifest
    from apograph.lab.measure import run
    from apograph.lab.measure.beside import fingerprints
    from apograph.lab.measure.page import PAGE, write_page
    from apograph.lab.measure.pairs import pairs
    from apograph.lab.measure.results import results

    if not (folder / "manifest.json").is_file():
        raise Refusal(4, Message("cli.lab.measure.no_manifest"), str(folder))
    if docs is not None and not (docs / PAGE).is_file():
        raise Refusal(4, Message("cli.lab.measure.no_page", {"name": PAGE}), str(docs))
    manifest = read_manifest(folder)
    named = {n for r in manifest.recipes.values() for n in (r.name, *(p.name for p in r.parents))}
    for name in sorted(named):
        if name not in manifest.recipes or not release_path(folder, name).is_dir():
            raise Refusal(4, Message("cli.lab.measure.no_release", {"name": name}), str(folder))
    chosen = pairs(manifest)
    with Progress(quiet) as shown:
        rows = run.measure(folder, chosen, jobs, shown.making)
        try:
            answers = fingerprints(folder, manifest, chosen, kit, shown.making)
        except (FileNotFoundError, ChildProcessError) as error:
            raise Refusal(4, Message("cli.lab.measure.kit_absent"), str(kit)) from error
    if docs is not None:
        write_page(docs, folder, manifest, rows, answers)
    told = Counter(r.verdict for r in results(manifest, rows))
    print(say("cli.lab.measure.done", n=len(rows), accused=told["accused"], right=told["right"]))
    if kit is None:
        print(say("cli.lab.measure.no_kit"))
    return 0
