"""``apograph lab read``: a small vision-language model that reads lines of text, and copies of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from apograph.cli.options import Quiet
from apograph.report.words import say

LINES = 500


def read(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=say("cli.lab.read.out"))],
    seed: Annotated[int, typer.Option("--seed", min=0, help=say("cli.lab.read.seed"))] = 0,
    cached: Annotated[bool, typer.Option("--cached", help=say("cli.lab.read.cached"))] = False,
    quiet: Quiet = False,
) -> int:
    """Train, save, measure the saved file on lines with held-out words; then its copies."""
    from apograph.findings import Message, Refusal
    from apograph.lab.vision import read as reading
    from apograph.lab.vision.reading_copies import compared
    from apograph.minicpmv.loading import need

    need("torch", "transformers", "tokenizers", "PIL", "matplotlib", extra="lab")
    if out.exists() and any(out.iterdir()):
        raise Refusal(4, Message("cli.lab.occupied"), str(out))
    out.mkdir(parents=True, exist_ok=True)
    release = reading.CACHED
    if not cached:
        release = out / "reader"
        curve = []
        for step in reading.train_and_save(release, seed):
            curve.append((step.number, round(step.loss, 4), round(step.seconds, 1)))
            if not quiet and (step.number + 1) % 50 == 0:
                print(say("lab_vision.step", n=step.number + 1, loss=step.loss, seconds=step.seconds))
        (out / "curve.json").write_text(json.dumps(curve) + "\n", "utf-8")
    found = reading.measure_release(release, LINES)
    print(
        say(
            "lab_vision.read",
            n=found.lines,
            characters=found.characters,
            words=found.words,
            unseen=found.unseen,
            whole=found.whole,
        )
    )
    for copy in compared(release, out, reading.held_out(LINES)):
        print(say("lab_vision.copy", name=copy.name, same=copy.same, n=copy.n, share=copy.same / copy.n))
    return 0
