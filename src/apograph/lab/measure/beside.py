"""Published fingerprints on the same pairs: our own implementations, and Cisco's kit where it is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from apograph.findings import Json
from apograph.lab.baselines import BASELINES
from apograph.lab.kit import kit_answers
from apograph.lab.make import release_path
from apograph.lab.manifest import Manifest
from apograph.lab.measure.pair import Pair
from apograph.lab.model import Model, load

KIT = "Cisco's kit"
PER_GROUP = 4
"""Pairs of each group that the kit is asked about, and ten times as many nulls."""
Progress = Callable[[int, int, str], None]


def fingerprints(
    folder: Path, manifest: Manifest, pairs: Sequence[Pair], kit: str | None, progress: Progress
) -> dict[str, dict[str, Json]]:
    """Every method's answer by the key of a pair, kept in ``fingerprints.jsonl``; None where it says nothing.

    Bases play no part in these methods, so pairs that differ in them alone are asked once."""
    file = folder / "fingerprints.jsonl"
    known = {r["key"]: r for r in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    bare = [p for p in pairs if not p.bases]
    missing = [p for p in bare if p.key not in known]
    with file.open("a") as out:
        for n, pair in enumerate(missing):
            progress(n, len(missing), pair.candidate)
            known[pair.key] = {"key": pair.key, **_answers(folder, manifest, pair)}
            out.write(json.dumps(known[pair.key]) + "\n")
        if kit is not None:
            chosen = [p for p in _few(bare) if KIT not in known[p.key]]
            paths = [(release_path(folder, p.reference), release_path(folder, p.candidate)) for p in chosen]
            for n, (pair, told) in enumerate(zip(chosen, kit_answers(kit, paths), strict=True)):
                progress(n, len(chosen), pair.candidate)
                known[pair.key] |= {KIT: told.get("score"), "decision": told.get("decision")}
                known[pair.key] |= {"seconds": told["seconds"]}
                out.write(json.dumps(known[pair.key]) + "\n")
                out.flush()
    return {p.key: known[p.key] for p in bare}


def _few(pairs: Iterable[Pair]) -> list[Pair]:
    counts: dict[str, int] = {}
    chosen = []
    for pair in pairs:
        counts[pair.group] = counts.get(pair.group, 0) + 1
        if counts[pair.group] <= PER_GROUP * (10 if pair.group == "null" else 1):
            chosen.append(pair)
    return chosen


def _answers(folder: Path, manifest: Manifest, pair: Pair) -> dict[str, Json]:
    found: dict[str, Json] = dict.fromkeys(BASELINES)
    try:
        a, b = (_model(folder, manifest, name) for name in (pair.reference, pair.candidate))
    except FileNotFoundError:
        return (
            found  # a GGUF file stands alone: its tensors have other names, and no configuration tells them
        )
    for name, method in BASELINES.items():
        try:
            found[name] = method(a, b)
        except (KeyError, AssertionError, ValueError):
            found[name] = None  # other names or shapes than the method knows
    return found


@lru_cache(maxsize=64)
def _loaded(path: Path) -> Model:
    return load(path)


def _model(folder: Path, manifest: Manifest, name: str) -> Model:
    """A release under its family's own names: the methods are given the true roles."""
    model = _loaded(release_path(folder, name))
    names = _names(manifest.records, name)
    if not names:
        return model
    parent = _loaded(release_path(folder, manifest.recipes[name].parents[0].name))
    weights = {str(names.get(n, n)): array for n, array in model.weights.items()}
    return Model({**parent.config, **_sizes(model)}, weights)


def _names(records: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    names = records[name].get("names")
    return names if isinstance(names, Mapping) else {}


def _sizes(model: Model) -> dict[str, Json]:
    """Sizes that a manipulation may have changed, so far as the renamed configuration still tells them."""
    wanted = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return {key: model.config[key] for key in wanted if key in model.config}
