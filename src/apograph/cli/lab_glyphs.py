"""``apograph lab glyphs``: the bamboo-slip experiment in small, from training to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apograph.cli.options import Quiet
from apograph.report.words import say

if TYPE_CHECKING:
    from apograph.findings import Report


def glyphs(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=say("cli.lab.glyphs.out"))],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help=say("cli.lab.glyphs.jobs"))] = 2,
    quiet: Quiet = False,
) -> int:
    """Train, copy, ask, compare; every file of it stays in ``out``."""
    from apograph.cli.progress import Progress
    from apograph.findings import Message, Refusal
    from apograph.lab.vision import experiment
    from apograph.lab.vision.read import CACHED
    from apograph.minicpmv.loading import need

    need("torch", "transformers", "tokenizers", "PIL", "fontTools", "brotli", "matplotlib", extra="lab")
    if out.exists() and any(out.iterdir()):
        raise Refusal(4, Message("cli.lab.occupied"), str(out))
    out.mkdir(parents=True, exist_ok=True)
    with Progress(quiet) as shown:
        models = experiment.make_models(out / "models", CACHED, jobs, shown.making)
        sets = experiment.ask_everybody(models, out, shown.making)
    for asked in sets:
        rows = list(experiment.summary(asked, models))
        (out / f"{asked.kind}-summary.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        print(say(f"lab_vision.{asked.kind}s", n=asked.count, right=asked.right))
        print(say("lab_vision.heading"))
        for row in rows:
            print(_line(row))
        for name, report in experiment.reports(asked, models).items():
            _write(out, f"{asked.kind}-{name}", report)
    print(say("cli.demo.report", path=str(out / "slip-candidate.html")))
    return 0


def _line(row: dict[str, Any]) -> str:
    shown = {name: "–" if value is None else value for name, value in row.items()}
    numbers = {
        name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in shown.items()
    }
    return say("lab_vision.row", **numbers)


def _write(out: Path, name: str, report: Report) -> None:
    from apograph.report import html, json_format

    (out / f"{name}.json").write_bytes(json_format.dumps(report))
    (out / f"{name}.html").write_bytes(html.render(report, "en"))
