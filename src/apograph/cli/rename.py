"""``apograph rename``: the candidate's checkpoint under the reference's tensor names."""

from __future__ import annotations

from typing import Annotated

import typer

from apograph.cli.options import Quiet
from apograph.report.words import say


def rename(
    candidate: Annotated[str, typer.Argument(help=say("cli.rename.candidate"))],
    like: Annotated[str, typer.Option("--like", metavar="REFERENCE", help=say("cli.rename.like"))],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help=say("cli.rename.out"))],
    quiet: Quiet = False,
) -> int:
    """Write the renamed checkpoint; every element stays as it is stored. Exit 2 when a name was not found."""
    from apograph.align.rename import new_names
    from apograph.cli import EXAMINED, INCOMPLETE
    from apograph.cli.checkpoint_out import beside, job, opened, planned, shown, stored
    from apograph.findings import Message, Refusal
    from apograph.release import open_release
    from apograph.release.safetensors_writer import write_checkpoint
    from apograph.report.escape import visible

    reference = open_release(like)
    if reference.tensors is None:
        raise Refusal(3, Message("write.no_tensors"), like)
    release = open_release(candidate)
    with opened(release) as (tensors, store), shown(quiet) as progress:
        found = new_names(reference, tensors, store)
        plan = planned(store, found.sources)
        files = write_checkpoint(
            out,
            plan,
            stored(store, found.sources),
            job=job(("rename",), release, tensors),
            beside=beside(reference),
            check=store.check,
            progress=progress,
        )
    print(visible(out))
    print(say(f"cli.rename.by_{found.basis}", n=len(plan), renamed=found.renamed, files=len(files)))
    for key, count in (("kept", found.kept), ("absent", found.absent)):
        if count:
            print(say(f"cli.rename.{key}", n=len(count), name=visible(count[0], 100)))
    if found.cut:
        print(say("cli.rename.cut", n=found.cut))
    if found.shapes:
        print(say("cli.rename.shapes", n=found.shapes))
    print(say("cli.rename.beside"))
    return INCOMPLETE if found.absent or found.shapes else EXAMINED
