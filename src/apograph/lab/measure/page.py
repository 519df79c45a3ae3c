"""docs/accuracy.md: its figures are put between marks, its words stay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apograph.findings import Message, Refusal
from apograph.lab.make import release_path
from apograph.lab.manifest import Manifest
from apograph.lab.measure import figures, tables
from apograph.lab.measure.beside import KIT
from apograph.lab.measure.fairness import agreement, coins, fairness
from apograph.lab.measure.halves import descent, halves
from apograph.lab.measure.judge import score
from apograph.lab.measure.results import Result, results
from apograph.lab.model import load

PAGE = "accuracy.md"
_BLOCK = re.compile(r"(<!-- measured: ([\w-]+) -->\n)(?:(?!<!-- end -->).*\n)*(<!-- end -->)")


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """The page with every block's figures. Raises Refusal (4) where one is not there."""

    def put(found: re.Match[str]) -> str:
        if found[2] not in blocks:
            raise Refusal(4, Message("cli.lab.measure.no_block", {"name": found[2]}), PAGE)
        return f"{found[1]}{blocks[found[2]]}\n{found[3]}"

    return _BLOCK.sub(put, text)


def write_page(
    docs: Path,
    folder: Path,
    manifest: Manifest,
    rows: Sequence[Mapping[str, Any]],
    answers: Mapping[str, Mapping[str, Any]],
) -> None:
    """Fill the page in ``docs`` and draw its pictures. Raises OSError when there is no page."""
    page = docs / PAGE
    text = page.read_text("utf-8")
    some = results(manifest, rows)
    own = [r for r in some if r.row["group"] == "null"]
    names = sorted({r.row[side] for r in own for side in ("reference", "candidate")})
    modules = coins([load(release_path(folder, name)) for name in names])
    fair = fairness(modules)
    known = {(r.row["reference"], r.row["candidate"]): r.row for r in own}
    places = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    same = agreement(modules, [known[place] for place in places])
    seeds = sum(recipe.group == "null" for recipe in manifest.recipes.values())
    blocks = {
        "set": tables.scope(manifest, some),
        "nulls": tables.nulls(own, fair, same, seeds),
        "manipulations": tables.manipulations(some),
        "based": tables.based(some),
        "near": tables.near(some),
        "confusion": tables.confusion(some),
        "directions": tables.directions(some),
        "details": tables.details(manifest, some),
        "halves": halves(some),
        "descent": descent(some),
        "beside": tables.beside(some, answers),
        "cost": tables.cost(some, answers),
        "short": tables.short(some),
    }
    _draw(docs / "accuracy", some, fair.p, fair.randomised, answers)
    page.write_text(filled(text, blocks), "utf-8")


def _draw(
    folder: Path,
    some: Sequence[Result],
    plain: Mapping[str, Any],
    mixed: Mapping[str, Any],
    answers: Mapping[str, Mapping[str, Any]],
) -> None:
    figures.p_values(plain, mixed, folder / "p.svg")
    shown = {group: [score(r.row) for r in own] for group, own in tables.grouped(_plain(some)).items()}
    figures.scores(shown, folder / "scores.svg")
    curves = {}
    for method in tables.methods(answers):
        known = [r for r in _plain(some) if r.row["key"] in answers]
        if method == KIT:
            known = [r for r in known if KIT in answers[r.row["key"]]]

        def told(r: Result, method: str = method) -> float:
            value = score(r.row) if method == "Apograph" else answers[r.row["key"]].get(method)
            return -1e9 if value is None else float(value)

        curves[method] = [told(r) for r in known if r.positive], [told(r) for r in known if r.stranger]
    figures.curves({m: c for m, c in curves.items() if c[0] and c[1]}, folder / "roc.svg")


def _plain(some: Sequence[Result]) -> list[Result]:
    return [r for r in some if not r.row["bases"]]
