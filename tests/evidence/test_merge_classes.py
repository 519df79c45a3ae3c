"""The class "merged", and merges of bases alone: neither depends on the order of what is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from apograph.evidence.descent import descent
from apograph.evidence.registry import Case
from apograph.evidence.weights import transformations
from apograph.findings import Bearing, Finding
from apograph.lab.founding.weights import drawn
from apograph.release import open_release
from apograph.weigh.weights import conclude_weights
from tests.evidence.derivations import Family, needs_minilm
from tests.evidence.test_descent import model, summed
from tests.evidence.test_weights import SHAPES, Weights, measured, release

MATRICES = 10
VECTORS = 1


def told(
    folder: Path, a: Weights, b: Weights, bases: Sequence[Weights] = (), panel: Sequence[Weights] = ()
) -> dict[str, Finding]:
    """The findings of the pass and of descent, by id."""
    folder.mkdir(exist_ok=True)
    case = Case(
        release(folder / "a", a),
        release(folder / "b", b),
        bases=tuple(release(folder / f"base{n}", w) for n, w in enumerate(bases)),
        panel=tuple(release(folder / f"panel{n}", w) for n, w in enumerate(panel)),
    )
    return {f.id: f for x in (transformations, descent) for f in x(case) if isinstance(f, Finding)}


def classes(finding: Finding) -> dict[str, int]:
    parts = [p.split(" ", 1) for p in str(finding.message.params["list"]).split(", ")]
    return {kind: int(n) for n, kind in parts}


def details(finding: Finding) -> set[str]:
    return {row[-1] for row in finding.exhibits[0].data["rows"] if row[-1]}  # type: ignore[index, union-attr, call-overload, misc]


MADE = summed(model("base"), a=(0.6, model("a")), c=(0.4, model("c")))
SOURCES = {"base": model("base"), "c": model("c"), "d": model("d")}


@pytest.mark.parametrize("order", list(permutations(SOURCES)))
def test_a_merge_shows_in_every_matrix_in_any_order_of_the_bases(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    found = told(tmp_path, model("a"), MADE, [SOURCES[n] for n in order])["weights.transformation"]
    assert classes(found) == {"merged": MATRICES}
    assert details(found) == {f"0.60 reference + 0.40 base {order.index('c') + 1}"}


@pytest.mark.parametrize("based", [True, False])
@pytest.mark.parametrize("swapped", [True, False])
def test_from_either_side_with_and_without_a_base(tmp_path: Path, based: bool, swapped: bool) -> None:
    sides = (MADE, model("a")) if swapped else (model("a"), MADE)
    found = told(tmp_path, *sides, [model("base")] if based else [], [model("c"), model("d")])
    assert classes(found["weights.transformation"]) == {"merged": MATRICES}
    assert details(found["weights.transformation"]) == {
        f"0.60 {'candidate' if swapped else 'reference'} + 0.40 panel 1"
    }


def test_rounded_to_bfloat16_it_is_a_merge_still(tmp_path: Path) -> None:
    import ml_dtypes

    coarse = {n: w.astype(ml_dtypes.bfloat16).astype(np.float32) for n, w in MADE.items()}
    found = told(tmp_path, model("a"), coarse, [model("base")], [model("c")])["weights.transformation"]
    assert classes(found) == {"merged": MATRICES}


def test_a_share_of_the_reference_and_the_base(tmp_path: Path) -> None:
    half = summed(model("base"), a=(0.5, model("a")))
    found = told(tmp_path, model("a"), half, [model("base")])["weights.transformation"]
    assert details(found) == {"0.50 reference + 0.50 base"}


@pytest.mark.parametrize("candidate", ["c", "d", "b", "g"])
def test_siblings_and_children_are_not_merged(tmp_path: Path, candidate: str) -> None:
    others = [model(n) for n in ("c", "d", "b") if n != candidate]
    found = told(tmp_path, model("a"), model(candidate), [model("base")], others)
    assert "merged" not in classes(found["weights.transformation"])


def test_a_merge_with_a_release_that_was_not_given_is_none(tmp_path: Path) -> None:
    found = told(tmp_path, model("a"), MADE, [model("base")], [model("d")])["weights.transformation"]
    assert "merged" not in classes(found)


@pytest.mark.parametrize("seed", range(3))
def test_strangers_are_never_merged(tmp_path: Path, seed: int) -> None:
    others = [drawn(SHAPES, 10 * seed + n) for n in range(1, 5)]
    found = told(tmp_path, others[0], others[1], [others[2]], [others[3]])["weights.transformation"]
    assert set(classes(found)) == {"unrelated"}


FIRST = summed(model("base"), a=(0.3, model("a")), c=(0.3, model("c")), d=(0.3, model("d")))
SECOND = summed(model("base"), a=(0.6, model("a")), c=(0.05, model("c")), d=(0.3, model("d")))
INGREDIENTS = ("a", "c", "d")


@pytest.mark.parametrize("order", [("base", *INGREDIENTS), (*INGREDIENTS[::-1], "base")])
@pytest.mark.parametrize("swapped", [True, False])
def test_two_merges_of_the_bases_were_not_made_from_each_other(
    tmp_path: Path, order: tuple[str, ...], swapped: bool
) -> None:
    sides = (SECOND, FIRST) if swapped else (FIRST, SECOND)
    found = told(tmp_path, *sides, [model(n) for n in order])
    assert found["weights.transformation"].bearing is Bearing.CONTEXT
    assert measured(found["weights.transformation"])["weights_explained"] == MATRICES + VECTORS
    assert found["weights.descent"].message.key == "weights.descent.sums"
    assert measured(found["weights.merge"])["merge_coefficient"] == 0
    conclusion = conclude_weights(list(found.values()))
    assert conclusion is not None
    assert (conclusion.relation, conclusion.direction) == ("common ancestor", "unknown")


def test_ingredients_in_the_panel_take_away_the_direction(tmp_path: Path) -> None:
    found = told(tmp_path, FIRST, SECOND, [model("base")], [model(n) for n in INGREDIENTS])
    assert found["weights.descent"].message.key == "weights.descent.sums"
    assert [f.id for f in found.values() if f.arrow is not None] == []
    assert "merged" not in classes(found["weights.transformation"])


def test_a_child_of_a_merge_is_not_explained_by_its_ingredients(tmp_path: Path) -> None:
    from tests.evidence.test_descent import changed

    child = changed(MADE, 31, 32, 0.004)
    found = told(tmp_path, MADE, child, [model("base"), model("a"), model("c")])
    assert measured(found["weights.transformation"])["weights_explained"] == VECTORS
    assert found["weights.descent"].arrow == "reference"


@needs_minilm
def test_a_merge_of_a_real_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training the other part needs torch")
    family = Family(tmp_path, rows=1000)
    original, made = (open_release(str(family[n].parent)) for n in ("original", "merged"))
    case = Case(original, made, panel=(open_release(str(tmp_path / "tuned_more")),))
    found = next(f for f in transformations(case) if isinstance(f, Finding))
    assert classes(found).keys() <= {"merged", "identical"}
    assert classes(found)["merged"] >= 36
    assert "0.70 reference + 0.30 panel" in details(found)
