"""The small set: what was made is what its recipe says, and the truth is read from the recipes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from apograph.lab.derive import derive, manipulation
from apograph.lab.families import FAMILIES
from apograph.lab.layout import read, roles_of, tower_of, views
from apograph.lab.lossless import logits_change
from apograph.lab.make import finished, make_all, release_path
from apograph.lab.manifest import Manifest, read_manifest, truth
from apograph.lab.model import Model, load
from apograph.lab.plan_derived import derived
from apograph.lab.plan_trained import trained
from apograph.lab.recipes import Parent, Recipe, Step
from apograph.release.tensor_store import open_store
from tests.lab.untrained import initial

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def manifest(small_set: Path) -> Manifest:
    return read_manifest(small_set)


@pytest.fixture(scope="module")
def parent() -> Model:
    """A model that was not trained: its gains are not ones all the same."""
    random = np.random.default_rng(5)
    weights = initial(FAMILIES["llama-small"], 5)
    for array in weights.values():
        if array.ndim == 1:
            array *= np.exp(0.3 * random.standard_normal(array.shape)).astype(np.float32)
    return Model(FAMILIES["llama-small"], weights)


def change(model: Model, *steps: Step, other: Model | None = None) -> tuple[Model, dict[str, object]]:
    recipe = Recipe("x", "x", 7, parents=(Parent("p"),), steps=steps)
    made = derive([model] if other is None else [model, other], recipe)
    return made.model, {**made.facts, **made.maps}


@pytest.mark.parametrize("plan", [trained, derived])
@pytest.mark.parametrize("small", [True, False])
def test_plans_name_every_release_once_and_parents_first(plan: object, small: bool) -> None:
    recipes = [*trained(30, small), *derived(30, small)]
    seen: set[str] = set()
    for recipe in recipes:
        assert recipe.name not in seen
        assert {p.name for p in recipe.parents} <= seen
        for step in recipe.steps:
            assert manipulation(step.name)
        seen.add(recipe.name)


def test_the_full_plan_has_the_pairs_that_the_measurement_needs() -> None:
    recipes = [*trained(), *derived()]
    assert sum(r.group == "null" for r in recipes) == 30
    assert sum(any(p.inherits == "weights" for p in r.parents) for r in recipes) >= 300


def test_everything_was_made(small_set: Path, manifest: Manifest) -> None:
    recipes = [*trained(4, small=True), *derived(4, small=True)]
    assert list(manifest.recipes) == [r.name for r in recipes]
    for recipe in recipes:
        assert finished(small_set, recipe.name)
        store = open_store(release_path(small_set, recipe.name))
        assert store.infos
        assert store.unexamined == ()
        store.close()


def test_what_is_finished_is_kept(small_set: Path) -> None:
    plan = trained(4, small=True)
    assert make_all(small_set, plan, lambda *_: pytest.fail("made again")) == 0


def test_models_learned(manifest: Manifest) -> None:
    for n in range(4):
        assert float(str(manifest.records[f"seed-{n:02d}"]["held_out"])) < 5.0  # words alone: 5.29


def test_lossless_changes_leave_the_logits(manifest: Manifest) -> None:
    checked = [(n, r["logits_change"]) for n, r in manifest.records.items() if "logits_change" in r]
    assert len(checked) > 30
    for name, found in checked:
        assert isinstance(found, dict)
        assert float(str(found["greatest"])) < 1e-4 * float(str(found["sd"])), name


def test_the_check_of_the_logits_can_fail(parent: Model) -> None:
    weights = {**parent.weights, UP: -parent.weights[UP]}
    found = logits_change(parent, parent.using(weights))
    assert float(str(found["greatest"])) > 1e-4 * float(str(found["sd"]))


def test_true_maps_lead_back_to_the_parent(parent: Model) -> None:
    steps = (
        Step("layers chosen", {"layers": [1, 0]}),
        *(Step(f"{p} permuted") for p in ("units", "channels")),
    )
    child, told = change(parent, *steps, Step("signs flipped"))
    own, theirs = child.weights["model.layers.0.mlp.up_proj.weight"], parent.weights[UP]
    assert list(told["layers"]) == [1, 0]
    expected = theirs[told["units.0"]][:, told["channels"]]
    signs = told["sign.units.0"][:, None] * told["sign.channels"]
    assert np.array_equal(own, expected * signs)


def test_units_permuted_twice_compose(parent: Model) -> None:
    child, told = change(parent, Step("units permuted"), Step("units permuted"))
    assert np.array_equal(child.weights[UP], parent.weights[UP][told["units.1"]])


def test_noise_has_the_size_it_says(parent: Model) -> None:
    for params, sigma in (({}, 1 / 708), ({"sigma": "2", "relative": True}, 2 * parent.weights[UP].std())):
        child, _ = change(parent, Step("noise", params))
        assert np.std(child.weights[UP] - parent.weights[UP]) == pytest.approx(sigma, rel=0.03)
    child, _ = change(parent, Step("noise", {"reseeded": True}))
    gate = "model.layers.1.mlp.gate_proj.weight"
    drawn = [child.weights[n] - parent.weights[n] for n in (gate, UP)]
    assert np.abs(drawn[0] - drawn[1]).max() < 1e-6


def test_pruning_planting_and_merging_by_hand(parent: Model) -> None:
    other = replace(parent, weights=initial(FAMILIES["llama-small"], 6))
    child, _ = change(parent, Step("pruned", {"share": 0.5}))
    assert (child.weights[UP] == 0).mean() == pytest.approx(0.5, abs=0.01)
    child, _ = change(parent, Step("planted", {"stride": 50}), other=other)
    same = child.weights[UP].reshape(-1) == other.weights[UP].reshape(-1)
    assert list(np.flatnonzero(same)[:3]) == [0, 50, 100]
    child, _ = change(parent, Step("merged", {"shares": [0.25, 0.75]}), other=other)
    assert np.allclose(child.weights[UP], 0.25 * parent.weights[UP] + 0.75 * other.weights[UP], atol=1e-7)


def test_framing_makes_unrelated_models_alike(parent: Model) -> None:
    other = replace(parent, weights=initial(FAMILIES["llama-small"], 6))
    child, told = change(parent, Step("framed"), other=other)

    def cosine(model: Model) -> float:
        a, b = (m.weights[UP].reshape(-1) for m in (model, other))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert abs(cosine(parent)) < 0.03
    assert cosine(child) > 0.2
    assert float(told["logits_change"]["greatest"]) < 1e-5  # type: ignore[index]


@pytest.mark.parametrize("family", ["llama-small", "gpt2-small", "bert-small"])
def test_the_role_graph_tells_every_tensor(family: str) -> None:
    config = FAMILIES[family]
    model = Model(config, initial(config, 0))
    roles = roles_of(model)
    rest = {name.partition(".")[0] for name in roles.left_over}
    assert rest == ({"cls"} if family == "bert-small" else set())
    for view in views(roles.towers[0]):
        assert read(model.weights, view).size > 0
    attention = tower_of(model).blocks[0].attention
    assert attention is not None
    assert read(model.weights, attention.k).shape == (attention.groups * attention.size, 64)


def test_truth(manifest: Manifest) -> None:
    def told(a: str, b: str) -> tuple[object, ...]:
        found = truth(manifest, a, b)
        assert truth(manifest, b, a) == found
        return found.relation, found.source, found.bases

    one = "seed-00"
    for a, b in combinations([f"seed-{n:02d}" for n in range(4)], 2):
        assert told(a, b) == ("independent", None, ())
    assert told(one, f"{one}+renamed") == ("identical", one, ())
    assert told(one, f"{one}+laundered") == ("copy or derivative", one, ())
    assert told(f"{one}+tuned", f"{one}+tuned-disguised") == ("copy or derivative", f"{one}+tuned", (one,))
    third, first = f"{one}+generation-3", f"{one}+tuned"
    assert told(first, third) == ("copy or derivative", first, (one,))
    assert told(f"{one}+sibling-a", f"{one}+lora") == ("common ancestor", None, (one,))
    assert told(f"{one}+sibling-a", f"{one}+merge-2") == ("merge", f"{one}+sibling-a", (one,))
    assert told(one, "twin-0")[0] == told(f"{one}+int8", "twin-0")[0] == "same initialisation or derivative"
    assert told(one, "twin-wide-0")[0] == "same initialisation or derivative"
    assert told("seed-01", "words-0") == ("independent", None, ())
    assert truth(manifest, "words-0", "words-1").shared != ()
    assert truth(manifest, "words-0", "words-1").relation == "common ancestor"
    for a, b in (
        (one, "student-0"),
        ("seed-01", f"{one}+framed-seed-01"),
        ("seed-01", f"{one}+planted-seed-01"),
    ):
        assert (truth(manifest, a, b).relation, truth(manifest, a, b).shown) == ("independent", True)
    assert not truth(manifest, "seed-01", "student-0").shown


def test_the_truth_is_not_in_the_release(small_set: Path) -> None:
    folder = release_path(small_set, "seed-00+laundered")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert json.loads((folder / "config.json").read_text())["model_type"] == "scriptorium"
    assert UP not in load(folder).weights
