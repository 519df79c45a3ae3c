"""Makes the releases of a plan in a folder: finished ones are kept, an interrupted one begins again.

DIR/releases/NAME/    the release as published: config.json, tokenizer.json, its weights
DIR/truth/NAME.npz    permutations, signs and other maps from the parent, for what has any
DIR/records/NAME.json what making it showed: losses, seconds, change of the logits
DIR/manifest.json     the recipes and records of all finished releases
"""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from apograph.findings import Json
from apograph.lab import corpus
from apograph.lab.families import FAMILIES
from apograph.lab.manifest import write_manifest
from apograph.lab.model import Model, load, save
from apograph.lab.recipes import Recipe
from apograph.lab.train import Course, Weights, train
from apograph.release.safetensors_writer import put

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with the releases done, all releases and the name of the next."""


def release_path(folder: Path, name: str) -> Path:
    """Where a release lies."""
    return folder / "releases" / name


def finished(folder: Path, name: str) -> bool:
    """Whether a release is whole."""
    return (folder / "records" / f"{name}.json").exists()


def make_all(folder: Path, recipes: Sequence[Recipe], progress: Progress, jobs: int = 1) -> int:
    """Make what is missing, ``jobs`` releases side by side, and write the manifest; returns how many were
    made. Parents come before their children in ``recipes`` or were finished before."""
    for part in ("releases", "truth", "records"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    missing = [r for r in recipes if not finished(folder, r.name)]
    try:
        if jobs == 1:
            for n, recipe in enumerate(missing):
                progress(n, len(missing), recipe.name)
                make(folder, recipe)
        else:
            _side_by_side(folder, missing, progress, jobs)
    finally:  # what is finished can be used, whatever interrupts the rest
        write_manifest(folder, recipes)
    return len(missing)


def _side_by_side(folder: Path, missing: Sequence[Recipe], progress: Progress, jobs: int) -> None:
    """Every process takes the next recipe whose parents are finished."""
    waiting, running, started = list(missing), set[Future[None]](), 0
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        try:
            while waiting or running:
                for recipe in list(waiting):
                    if len(running) == jobs:
                        break
                    if all(finished(folder, p.name) for p in recipe.parents):
                        waiting.remove(recipe)
                        progress(started, len(missing), recipe.name)
                        running.add(pool.submit(make, folder, recipe))
                        started += 1
                if not running:
                    lost = [p.name for p in waiting[0].parents if not finished(folder, p.name)]
                    raise FileNotFoundError(", ".join(lost))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def make(folder: Path, recipe: Recipe) -> None:
    """Make one release. The record is written last: what has one is whole."""
    began = time.monotonic()
    maps: Mapping[str, Any] = {}
    parents = [load(release_path(folder, p.name)) for p in recipe.parents]
    if recipe.trained:
        model, record = _train(recipe, parents)
        _save(folder, recipe, model)
    else:
        from apograph.lab.derive import derive

        derived = derive(parents, recipe)
        record, maps = dict(derived.facts), derived.maps
        _save(folder, recipe, derived.model, derived.write)
    if maps:
        np.savez_compressed(folder / "truth" / f"{recipe.name}.npz", **maps)
    record["seconds"] = round(time.monotonic() - began, 2)
    put(str(folder / "records" / f"{recipe.name}.json"), (json.dumps(record, indent=1) + "\n").encode())


def _save(folder: Path, recipe: Recipe, model: Model, write: Callable[[Model, Path], None] = save) -> None:
    place = release_path(folder, recipe.name)
    shutil.rmtree(place, ignore_errors=True)  # written, but the record is missing
    write(model, place)


def _train(recipe: Recipe, parents: Sequence[Model]) -> tuple[Model, dict[str, Json]]:
    config = FAMILIES[recipe.family]
    course = Course(**{k: tuple(v) if isinstance(v, list) else v for k, v in recipe.course.items()})  # type: ignore[arg-type]
    start: Weights = {}
    teacher = None
    for parent, model in zip(recipe.parents, parents, strict=True):
        if parent.inherits == "shown":
            teacher = (model.config, model.weights)
        else:
            start |= {n: a for n, a in model.weights.items() if re.search(parent.pattern, n)}
    made = train(config, recipe.seed, course, start, teacher)
    record: dict[str, Json] = {"losses": list(made.losses), "held_out": made.held_out}
    vocabulary = corpus.tokenizer(int(str(config["vocab_size"])))
    return Model(config, made.weights, vocabulary.to_str()), record
