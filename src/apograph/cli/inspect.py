"""``apograph inspect``: what one release is made of."""

from __future__ import annotations

from typing import Annotated

import typer

from apograph.report.words import say


def inspect(
    release: Annotated[str, typer.Argument(help=say("cli.inspect.release"))],
    as_json: Annotated[bool, typer.Option("--json", help=say("cli.inspect.json"))] = False,
    download: Annotated[bool, typer.Option("--download", help=say("cli.inspect.download"))] = False,
) -> int:
    """Print the summary of a release. Exit 2 or 5 when something of it could not be read."""
    import json

    from apograph.cli import worst
    from apograph.cli.inspection import show
    from apograph.cli.summary import summary
    from apograph.release import open_release

    opened = open_release(release, download=download)
    told = summary(opened)
    if as_json:
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        show(told)
    return worst([0, *(gap.code for gap in opened.faults if gap.fault)])
