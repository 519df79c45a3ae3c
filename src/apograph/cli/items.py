"""``apograph items choose|commit|verify``: item sets frozen before the candidate is asked."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from apograph.findings import Message, Refusal
from apograph.report.escape import visible
from apograph.report.words import say


class Task(StrEnum):
    """What to do with a set of items."""

    choose = "choose"
    commit = "commit"
    verify = "verify"


def items(
    task: Annotated[Task, typer.Argument(help=say("cli.items.task"))],
    file: Annotated[Path, typer.Argument(metavar="ITEMS", help=say("cli.items.file"))],
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help=say("cli.items.record"))
    ] = None,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help=say("cli.items.out"))] = "-",
    reference: Annotated[Path | None, typer.Option("--reference", help=say("cli.items.reference"))] = None,
    panel: Annotated[list[Path], typer.Option("--panel", help=say("cli.items.panel"))] = [],  # noqa: B006
    key: Annotated[Path | None, typer.Option("--key", help=say("cli.items.key"))] = None,
    most: Annotated[int, typer.Option("--most", help=say("cli.items.most"))] = 200,
) -> int:
    """Choose items on the reference and the panel, commit to a set, or verify one. Exit 1: not the set."""
    if task is Task.choose:
        if reference is None or not panel or most < 1:
            raise Refusal(4, Message("answers.error.choose"))
        return _choose(file, reference, panel, key, most, out)
    if record is None:
        raise Refusal(4, Message("answers.error.record"))
    return _commit(file, record) if task is Task.commit else _verify(file, record)


def _choose(file: Path, reference: Path, panel: list[Path], key: Path | None, most: int, out: str) -> int:
    from apograph.behaviour.items import choose, dumps, read_items
    from apograph.behaviour.join import join
    from apograph.cli.output import Output

    with Output(out) as target:
        every = {}
        for item in read_items(file):
            every["h:" + item["item_hash"]] = every["i:" + item["item"]] = item
        sheet = join([reference, *panel], key)
        chosen = choose(sheet, 0, range(1, len(sheet.columns)), most)
        found = [every[identity] for identity in chosen if identity in every]
        if not found:
            raise Refusal(2, Message("answers.error.unknown_items"), str(file))
        target.write("".join(dumps(item) + "\n" for item in found).encode())
    return 0


def _commit(file: Path, record: Path) -> int:
    from apograph.behaviour.items import commit, dumps, read_items
    from apograph.cli.output import Output

    with Output(str(record)) as target:
        kept = commit(read_items(file))
        target.write((dumps(kept) + "\n").encode())
    print(say("answers.items.committed", n=kept["items"], commitment=kept["commitment"]))
    return 0


def _verify(file: Path, record: Path) -> int:
    from apograph.behaviour.items import read_items, verify
    from apograph.release.json_text import parse_json

    try:
        kept = parse_json(record.read_bytes(), str(record))
    except OSError as error:
        raise Refusal(
            2, Message("readers.answers.open", {"reason": error.strerror or ""}), str(record)
        ) from None
    found = verify(read_items(file), kept)
    print(visible(say(found.key, **found.params), 400))
    return 0 if found.key == "answers.items.same" else 1
