"""Which pairs are examined: what the lab's plan promises, with the truth that each kind is there for."""

from __future__ import annotations

from collections import Counter

import pytest

from apograph.lab.manifest import Manifest, truth
from apograph.lab.measure.pairs import pairs
from apograph.lab.measure.results import Result, results
from apograph.lab.plan_derived import derived
from apograph.lab.plan_trained import trained


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    recipes = {r.name: r for r in (*trained(), *derived())}
    return Manifest(recipes, {name: {} for name in recipes})


@pytest.fixture(scope="module")
def planned(manifest: Manifest) -> list[Result]:
    rows = [
        {"reference": p.reference, "candidate": p.candidate, "bases": list(p.bases), "group": p.group}
        for p in pairs(manifest)
    ]
    return results(manifest, rows)


def test_nulls_and_positives(planned: list[Result]) -> None:
    assert sum(r.row["group"] == "null" and r.stranger for r in planned) == 435
    assert sum(r.positive for r in planned) >= 300
    assert {r.half for r in planned if r.positive} == {0, 1, 2}


def test_every_kind_of_the_plan_is_there(planned: list[Result]) -> None:
    told = Counter((r.row["group"], r.given, r.truth.relation) for r in planned)
    for group in ("two roundings", "both disguised", "siblings", "LoRA siblings, other types"):
        for given in ("no", "yes"):
            assert told[group, given, "common ancestor"] > 0, (group, given)
    assert told["shared tower", "no", "common ancestor"] > 0
    assert told["shared tower", "a stranger", "common ancestor"] > 0
    assert told["shared tower, siblings", "yes", "common ancestor"] > 0
    assert told["generation, from further up", "yes", "copy or derivative"] > 0
    assert told["strangers, a stranger as base", "a stranger", "independent"] > 0
    assert told["strangers, the base of one", "a stranger", "independent"] > 0
    assert told["disguised, a stranger as base", "a stranger", "copy or derivative"] > 0


def test_disguises_are_on_either_side(planned: list[Result], manifest: Manifest) -> None:
    for group in ("units", "rotated", "disguised", "laundered", "noise-1-10"):
        sides = {r.row["reference"] == r.truth.source for r in planned if r.row["group"] == group}
        assert sides == {True, False}, group


def test_the_truth_about_towers(manifest: Manifest) -> None:
    strangers = truth(manifest, "seed-00+tower", "seed-01+tower")
    assert (strangers.relation, strangers.bases) == ("common ancestor", ("bert-0",))
    assert strangers.shared != ()
    assert truth(manifest, "seed-00+tower-tuned", "seed-00+tower-lora").shared == ()
    assert truth(manifest, "seed-00", "seed-00+tower").source == "seed-00"
