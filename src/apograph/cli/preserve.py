"""``apograph preserve``: one archive of what a release shows, accepted wherever a release is."""

from __future__ import annotations

from typing import Annotated

import typer

from apograph.report.words import say


def preserve(
    release: Annotated[str, typer.Argument(help=say("cli.preserve.release"))],
    out: Annotated[str, typer.Option("--out", help=say("cli.preserve.out"))],
    weights: Annotated[bool, typer.Option("--weights", help=say("cli.preserve.weights"))] = False,
    with_mail: Annotated[bool, typer.Option("--with-mail", help=say("cli.preserve.with_mail"))] = False,
    download: Annotated[bool, typer.Option("--download", help=say("cli.preserve.download"))] = False,
) -> int:
    """Write the archive, then say what it holds and its digest. Exit 2 or 5 when something was not kept."""
    from apograph.cli import LIMIT, worst
    from apograph.release import open_release
    from apograph.release.opened import Opened
    from apograph.release.preserve import preserve as keep
    from apograph.report.escape import visible

    opened = open_release(release, download=download)
    assert isinstance(opened, Opened)
    kept = keep(opened, out, weights=weights, with_mail=with_mail)
    print(visible(out))
    print(
        say("cli.preserve.kept", texts=kept.texts, commits=kept.commits, heads=kept.heads, files=kept.files)
    )
    if weights:
        print(say("cli.preserve.weights_kept", n=kept.weights))
    print(say("cli.preserve.digest", captured=kept.captured, digest=kept.digest))
    faults = [gap for gap in opened.faults if gap.fault]
    if faults:
        print(say("cli.preserve.gaps", n=len(faults)))
    if kept.left_out:
        print(say("cli.preserve.left_out", n=kept.left_out))
    return worst([0, *(gap.code for gap in faults), *([LIMIT] if kept.left_out else [])])
