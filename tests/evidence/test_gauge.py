"""The examiner behind a disguise: classes, what independents and forged references get, bases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from apograph.align.tensors import match_tensors
from apograph.evidence.descent import descent
from apograph.evidence.gauge import gauge
from apograph.evidence.gauge_judge import BEYOND, REACHED
from apograph.evidence.registry import Case
from apograph.evidence.set_aside import set_aside
from apograph.evidence.stream import stream
from apograph.evidence.transformation import transformation
from apograph.evidence.weights import Compared, transformations
from apograph.findings import Bearing, Finding
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from apograph.release.tensor_store import open_store
from apograph.release.types import Release
from apograph.report.words import text
from tests.align.gauge import tiny
from tests.align.gauge.forge import forged
from tests.align.gauge.tiny import Weights

CONFIG = {
    "model_type": "llama",
    "hidden_size": tiny.WIDTH,
    "intermediate_size": tiny.INNER,
    "num_attention_heads": tiny.HEADS,
    "num_key_value_heads": tiny.GROUPS,
    "head_dim": tiny.SIZE,
}
REFERENCE = tiny.weights(1)


def random() -> np.random.Generator:
    return np.random.default_rng(5)


def release(folder: Path, weights: Weights) -> Release:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(tiny.stored(weights)))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return open_release(str(folder))


def examined(folder: Path, a: Weights, b: Weights, *bases: Weights) -> dict[str, Finding]:
    folder.mkdir(exist_ok=True)
    case = Case(
        release(folder / "a", a),
        release(folder / "b", b),
        bases=tuple(release(folder / f"base{n}", base) for n, base in enumerate(bases)),
    )
    stores = open_store(case.reference), open_store(case.candidate)
    matching = match_tensors(*stores)
    moments = stream(matching.matches, *stores)
    told = tuple(
        transformation(match, m, *stores) for match, m in zip(matching.matches, moments, strict=True)
    )
    case.shared["weights.compared"] = Compared(matching, told, set_aside(case, told, *stores), 0.0)
    found = {f.id: f for f in gauge(case) if isinstance(f, Finding)}
    for finding in found.values():
        assert text(finding.message)
        assert [text(m) for m in (*finding.limits, *finding.alternatives)]
    return found


def classes(finding: Finding) -> dict[str, int]:
    parts = str(finding.message.params["list"]).split(", ")
    return {p.split(" ", 1)[1]: int(p.split(" ", 1)[0]) for p in parts}


def measured(finding: Finding) -> dict[str, float]:
    return {m.name: m.value for m in finding.measures if isinstance(m.value, int | float)}


def test_nothing_is_looked_for_where_tensors_answer_as_they_stand(tmp_path: Path) -> None:
    assert examined(tmp_path, REFERENCE, tiny.noised(REFERENCE, random(), 0.001)) == {}


def test_a_permuted_copy_is_identical_behind_the_disguise(tmp_path: Path) -> None:
    disguised = tiny.channels_permuted(tiny.units_permuted(REFERENCE, random()), random())
    told = examined(tmp_path, REFERENCE, disguised)["weights.gauge"]
    assert told.bearing is Bearing.DISTINCTIVE
    assert classes(told) == {"identical": 23}
    assert measured(told)["weights_made"] == measured(told)["weights_computed"] == 1


def test_a_rotated_copy_differs_by_rounding_alone(tmp_path: Path) -> None:
    told = examined(tmp_path, REFERENCE, tiny.everything(REFERENCE, random()))["weights.gauge"]
    assert set(classes(told)) <= {"cast", "identical"}
    assert measured(told)["gauge_modules"] == 9


def test_noise_behind_a_permutation_is_measured(tmp_path: Path) -> None:
    noisy = tiny.units_flipped(tiny.heads_permuted(tiny.noised(REFERENCE, random()), random()), random())
    found = examined(tmp_path, REFERENCE, tiny.channels_permuted(noisy, random()))
    assert measured(found["weights.noise"])["weights_sigma"] == pytest.approx(0.02, rel=0.01)
    assert found["weights.noise"].message.key.endswith("uniform")
    assert found["weights.gauge"].arrow == "reference"


def test_what_was_pruned_and_rotated_does_not_look_like_the_source(tmp_path: Path) -> None:
    cut = {
        n: np.where(np.abs(v) < np.median(np.abs(v)), 0, v).astype(v.dtype) if v.ndim > 1 else v
        for n, v in REFERENCE.items()
    }
    turned = tiny.everything(cut, random())
    for name, (a, b) in {"there": (turned, REFERENCE), "back": (REFERENCE, turned)}.items():
        found = examined(tmp_path / name, a, b)
        assert measured(found["weights.gauge"])["weights_made"] == 1
        assert {f.arrow for f in found.values()} == {None}


def test_a_grid_behind_a_permutation_is_seen(tmp_path: Path) -> None:
    def coarse(value: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        if value.ndim == 1:
            return value
        step = np.abs(value).max(axis=1, keepdims=True) / 7
        return np.asarray(np.round(value / step) * step)

    disguised = tiny.units_permuted({n: coarse(v) for n, v in REFERENCE.items()}, random())
    told = examined(tmp_path, REFERENCE, tiny.heads_permuted(disguised, random()))["weights.gauge"]
    assert classes(told).get("quantised", 0) >= 15


def test_what_a_base_has_in_that_gauge_is_set_aside(tmp_path: Path) -> None:
    reference = tiny.noised(REFERENCE, random(), 0.01)
    told = examined(tmp_path, reference, tiny.everything(REFERENCE, random()), REFERENCE)["weights.gauge"]
    assert told.message.key.endswith("explained")
    assert told.bearing is Bearing.CONTEXT


@pytest.mark.parametrize("shared", [False, True])
def test_strangers_stay_strangers(tmp_path: Path, shared: bool) -> None:
    stranger = tiny.weights(2)
    if shared:
        stranger["model.embed_tokens.weight"] = REFERENCE["model.embed_tokens.weight"]
        stranger = tiny.rotated(stranger, random())
    told = examined(tmp_path, REFERENCE, stranger)["weights.gauge"]
    assert told.message.key.endswith("nothing")
    assert told.bearing is Bearing.CONTEXT


def test_what_is_needed_is_twice_what_lossless_changes_reach() -> None:
    assert BEYOND == 2
    assert REACHED == {"mlp": 0.231, "vo": 0.300, "qk": 0.110}


def test_a_forged_reference_is_not_called_related(tmp_path: Path) -> None:
    own, target = forged(REFERENCE, tiny.weights(2))
    told = examined(tmp_path, own, target)["weights.gauge"]
    assert told.bearing is not Bearing.DISTINCTIVE


@pytest.mark.parametrize(("kind", "key"), [("child", "child"), ("sibling", "apart")])
def test_descent_is_told_behind_a_disguise(tmp_path: Path, kind: str, key: str) -> None:
    """What the reference changed of the base goes on in a disguised child, and not in a disguised sibling."""
    base, draw = REFERENCE, random()
    reference = tiny.noised(base, draw, 0.01)
    child = tiny.noised(reference if kind == "child" else base, draw, 0.005)
    case = Case(
        release(tmp_path / "a", reference),
        release(tmp_path / "b", tiny.everything(child, random())),
        bases=(release(tmp_path / "base", base),),
    )
    for examiner in (transformations, gauge):
        list(examiner(case))
    told = {f.id: f for f in descent(case) if isinstance(f, Finding)}["weights.descent"]
    assert told.message.key == f"weights.descent.{key}"
    assert told.arrow == ("reference" if kind == "child" else None)


def test_a_disguised_reference_without_known_names_is_found_too(tmp_path: Path) -> None:
    disguised = tiny.channels_permuted(tiny.units_permuted(REFERENCE, random()), random())
    renamed = {f"t{n:02d}": disguised[name] for n, name in enumerate(tiny.stored(disguised))}
    told = examined(tmp_path, renamed, REFERENCE)["weights.gauge"]
    assert told.bearing is Bearing.DISTINCTIVE
    assert set(classes(told)) <= {"cast", "identical"}
