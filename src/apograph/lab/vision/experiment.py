"""The bamboo-slip experiment in small: train, copy, ask and compare, in one go.

A *reference* learns a private script and a private skill on screens. The *candidate* is a copy of it as in
the founding case: noise of 1/708 on every weight, published under Llama3-V's names, and renamed back.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apograph.behaviour.items import commit, dumps, read_items
from apograph.behaviour.pictures import illustrated, small_pictures
from apograph.findings import Report
from apograph.lab.vision.asking import ask_all, write_items
from apograph.lab.vision.copies import noised, quantised, renamed_like, respelled
from apograph.lab.vision.family import Member, items, train_member, trained, tuned
from apograph.lab.vision.train import Sample

SLIPS = 300
SEED = 0
"""Of the drawn items, and the nonce of their commitment: the experiment comes out the same again."""
NOISES = {"noise-1-708": "1/708", "noise-1-100": "1/100", "noise-1-40": "1/40"}
NOISE_SEEDS = 5
Told = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Models:
    """Releases by name: the reference, its copies, and everybody else (the panel)."""

    reference: Path
    copies: Mapping[str, Path]
    reseeded: Mapping[str, Path]
    panel: Mapping[str, Path]

    def all(self) -> dict[str, Path]:
        """Every release by name."""
        return {"reference": self.reference, **self.copies, **self.panel, **self.reseeded}


def make_models(folder: Path, base: Path, jobs: int, told: Told) -> Models:
    """Train everybody, ``jobs`` side by side, then make the copies of the reference."""
    members = trained(base)
    places = {member.name: folder / member.name for member in members}
    reference = places.pop("reference")
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = [pool.submit(train_member, member, folder / member.name) for member in members]
        for done, (member, future) in enumerate(zip(members, running, strict=True)):
            told(done, len(members), member.name)
            future.result()
    return Models(reference, make_copies(reference, folder), _reseeded(reference, folder), places)


def make_copies(reference: Path, folder: Path) -> dict[str, Path]:
    """The candidate and the other copies of the reference."""
    published = respelled(noised(reference, "1/708", 7, folder / "drawn"), folder / "published")
    copies = {"candidate": renamed_like(published, reference, folder / "candidate")}
    for name, noise in NOISES.items():
        copies[name] = noised(reference, noise, 1, folder / name)
    copies["int8"] = quantised(reference, "int8", folder / "int8")
    copies["int4"] = quantised(reference, "int4", folder / "int4")
    further: Member = tuned(reference)
    train_member(further, folder / further.name)
    copies[further.name] = folder / further.name
    return copies


def _reseeded(reference: Path, folder: Path) -> dict[str, Path]:
    """Copies with the candidate's noise from other seeds: how far such noise moves answers."""
    names = {f"seed-{seed}": seed for seed in range(100, 100 + NOISE_SEEDS)}
    return {name: noised(reference, "1/708", seed, folder / name) for name, seed in names.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """Answer files of one kind of items, by model; ``right``: the reference's share of right answers."""

    kind: str
    items: Path
    count: int
    right: float
    files: Mapping[str, Path]


def ask_everybody(models: Models, folder: Path, told: Told) -> tuple[Asked, ...]:
    """Draw the private items, commit to them, and ask every release."""
    drawn = dict(items(SLIPS, SEED))
    sets: dict[str, dict[str, Sample]] = {"slip": {}, "screen": {}}
    for name, sample in drawn.items():
        sets[name.partition("-")[0]][name] = sample
    releases = models.all()
    asked = []
    for kind, samples in sets.items():
        path = write_items(samples, folder / "items", f"{kind}s.jsonl")
        kept = dumps(commit(read_items(path), nonce=f"{SEED:064x}"))  # before anybody is asked
        (folder / "items" / f"{kind}s.commitment.json").write_text(kept + "\n", "utf-8")
        files = {}
        for done, (name, release) in enumerate(releases.items()):
            told(done, len(releases), name)
            files[name] = ask_all(name, release, samples, path, folder / "answers" / kind / f"{name}.jsonl")
        right = _right(files["reference"])
        asked.append(Asked(kind, path, len(samples), right, files))
    return tuple(asked)


def _right(answers: Path) -> float:
    rows = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    return float(sum(row["raw"] == row["key"] for row in rows) / len(rows))


def pair_report(asked: Asked, models: Models, name: str, near: bool = False) -> Report:
    """The reference against one model; the panel is everybody who is no copy, but that model. Answers are
    compared to the last letter and digit, or, when ``near``, as actions whose boxes may be near."""
    from apograph.cli.agree import Form, report

    panel = [asked.files[one] for one in models.panel if one != name]
    noisy = [asked.files[one] for one in models.reseeded]
    files = [asked.files["reference"], asked.files[name]]
    return report(files, panel, noisy, None, Form.action if near else Form.text)


def matrix_report(asked: Asked, models: Models) -> Report:
    """All models at once, no reference named."""
    from apograph.cli.agree import Form, report

    names = ["reference", *models.copies, *models.panel]
    return report([asked.files[name] for name in names], form=Form.text)


def reports(asked: Asked, models: Models) -> dict[str, Report]:
    """What is published: reference and candidate with the pictures of their shared errors, and the matrix."""
    pictures = small_pictures(asked.items)
    found = {
        "candidate": illustrated(pair_report(asked, models, "candidate"), pictures),
        "matrix": matrix_report(asked, models),
    }
    if asked.kind == "screen":
        found["actions"] = illustrated(pair_report(asked, models, "candidate", near=True), pictures)
    return found


COLUMNS = ("both_wrong", "identical", "expected_identical", "plug_in", "worst_case", "gamma")


def summary(asked: Asked, models: Models) -> Iterator[dict[str, Any]]:
    """One row for every model but the reference: what the comparison with the reference says of it."""
    for name in (*models.copies, *models.panel):
        found = pair_report(asked, models, name)
        identical = next((f for f in found.findings if f.id == "answers.identical"), None)
        measures = (
            {}
            if identical is None
            else {m.name.removeprefix("answers."): m.value for m in identical.measures}
        )
        yield {
            "model": name,
            "accuracy": accuracies(found)[name],
            **{column: measures.get(column) for column in COLUMNS},
            "bearing": "" if identical is None else identical.bearing.value,
        }


def accuracies(report: Report) -> dict[str, float]:
    """Share of right answers by model, from the table of what was compared."""
    table = next(f for f in report.findings if f.id == "answers.compared").exhibits[0].data
    at = table["columns"].index("answers.accuracy")
    rows: Sequence[Sequence[Any]] = table["rows"]
    return {str(row[0]): float(row[at]) for row in rows}
