"""``apograph witness``: the digest manifest that an author has stamped the day she publishes."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import Annotated

import typer

from apograph.cli.output import Output, distinct
from apograph.report.words import say

_SHOWN = 5


def witness(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help=say("cli.witness.release"))],
    out: Annotated[
        str, typer.Option("--out", metavar="MANIFEST", help=say("cli.witness.out"))
    ] = "manifest.json",
    query: Annotated[
        str | None, typer.Option("--query", metavar="FILE.tsq", help=say("cli.witness.query"))
    ] = None,
) -> int:
    """Hash every file, write the manifest, say what it lacks and how it is stamped. Exit 2 when a file that
    is there could not be hashed."""
    from apograph.cli import worst
    from apograph.release import open_release
    from apograph.release.witness import needs_extra
    from apograph.release.witness_manifest import manifest
    from apograph.report.escape import visible

    if query is not None:
        needs_extra()
    distinct([out, query])
    with ExitStack() as stack:
        target = stack.enter_context(Output(out))
        asked = None if query is None else stack.enter_context(Output(query))
        opened = open_release(release)
        data, absent = manifest(opened)
        target.write(data)
        if asked is not None:
            from apograph.release.witness_timestamp import query as timestamp_query

            asked.write(timestamp_query(data))
    if out != "-":
        path = visible(out, 200)
        digest = hashlib.sha256(data).hexdigest()
        print(say("cli.witness.written", path=path, n=len(opened.files), digest=digest))
        if absent:
            names = ", ".join(visible(name, 60) for name in absent[:_SHOWN])
            more = f" {say('report.more', n=len(absent) - _SHOWN)}" if len(absent) > _SHOWN else ""
            print(say("cli.witness.absent", n=len(absent), list=names + more))
        print(say("cli.witness.how", path=path))
    return worst([0, *(gap.code for gap in opened.faults if gap.fault)])
