"""Makes the releases of a plan in a folder: finished ones are kept, an interrupted one begins again.

DIR/releases/NAME/    the release as published: config.json, tokenizer.json, its weights
DIR/truth/NAME.npz    permutations, signs and other maps from the parent, for what has any
DIR/records/NAME.json what making it showed: losses, seconds, change of the logits
DIR/manifest.json     the recipes and records of all finished releases
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
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


def make_all(
    folder: Path, recipes: Sequence[Recipe], progress: Progress, share: tuple[int, int] = (0, 1)
) -> int:
    """Make what is missing and write the manifest; returns how many releases were made.

    ``share`` (i, n): of the missing ones only every n-th from the i-th on, for several processes side by
    side; a release whose parents are not there yet waits for the process that makes them.
    """
    for part in ("releases", "truth", "records"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    made = 0
    for n, recipe in enumerate(recipes):
        if (folder / "records" / f"{recipe.name}.json").exists() or n % share[1] != share[0]:
            continue
        progress(n, len(recipes), recipe.name)
        _wait(folder, recipe)
        make(folder, recipe)
        made += 1
    write_manifest(folder, recipes)
    return made


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
    import shutil

    place = release_path(folder, recipe.name)
    shutil.rmtree(place, ignore_errors=True)  # written, but the record is missing
    write(model, place)


def _wait(folder: Path, recipe: Recipe) -> None:
    while not all((folder / "records" / f"{p.name}.json").exists() for p in recipe.parents):
        time.sleep(1.0)


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
