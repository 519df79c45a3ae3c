"""Descent over small families whose changes have the shape that training gives them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from apograph.evidence.descent import descent
from apograph.evidence.registry import Case
from apograph.evidence.weights import transformations
from apograph.findings import Finding
from apograph.lab.founding.weights import drawn
from apograph.report.words import text
from tests.evidence.test_weights import SHAPES, Weights, measured, noised, release


def changed(of: Weights, own: int, strong: int = 0, size: float = 0.02) -> Weights:
    """As training changes a model: four strong directions that the data (``strong``) ask for, and many weak
    ones of the run's own; vectors as they are."""
    result = dict(of)
    shared, random = np.random.default_rng(strong), np.random.default_rng(own)
    for name, value in of.items():
        if value.ndim > 1:
            left, right = (shared.standard_normal((n, 4)) for n in value.shape)
            change = left @ right.T + random.standard_normal(value.shape)
            result[name] = value + np.float32(size) * change.astype(np.float32)
    return result


@cache
def model(name: str) -> Weights:
    """base; a and c, its children on the same data; d, another on other data; b, a's child; g, b's child."""
    if name == "base":
        return drawn(SHAPES, 1)
    parent, own, strong = {
        "a": ("base", 11, 21),
        "c": ("base", 12, 21),
        "d": ("base", 13, 22),
        "b": ("a", 14, 23),
        "g": ("b", 15, 24),
    }[name]
    return changed(model(parent), own, strong, {"base": 0.02, "a": 0.01}.get(parent, 0.004))


def examined(
    folder: Path, a: Weights, b: Weights, bases: Sequence[Weights] = (), panel: Sequence[Weights] = ()
) -> dict[str, Finding]:
    """The findings of the descent of ``b`` from ``a``, by id; every word is filled once."""
    folder.mkdir(exist_ok=True)
    case = Case(
        release(folder / "a", a),
        release(folder / "b", b),
        bases=tuple(release(folder / f"base{n}", w) for n, w in enumerate(bases)),
        panel=tuple(release(folder / f"panel{n}", w) for n, w in enumerate(panel)),
    )
    list(transformations(case))
    results = {f.id: f for f in descent(case) if isinstance(f, Finding)}
    for finding in results.values():
        assert text(finding.message)
        assert [text(m) for m in (*finding.limits, *finding.alternatives)]
    return results


def summed(base: Weights, **parts: tuple[float, Weights]) -> Weights:
    """base + sum of coefficient x (part - base), in float64."""
    return {
        n: (v + sum(c * (w[n].astype(np.float64) - v) for c, w in parts.values())).astype(np.float32)
        for n, v in base.items()
    }


@pytest.mark.parametrize(
    ("a", "b", "key", "arrow"),
    [
        ("a", "b", "child", "reference"),
        ("b", "a", "parent", "candidate"),
        ("a", "g", "child", "reference"),
        ("a", "c", "apart", None),
        ("a", "d", "apart", None),
    ],
)
def test_a_childs_change_goes_on_and_a_siblings_does_not(
    tmp_path: Path, a: str, b: str, key: str, arrow: str | None
) -> None:
    told = examined(tmp_path, model(a), model(b), [model("base")])["weights.descent"]
    assert (told.message.key, told.arrow) == (f"weights.descent.{key}", arrow)
    for name in ("forward", "back"):
        assert measured(told)[f"descent_{name}_least"] <= measured(told)[f"descent_{name}_middle"]  # type: ignore[operator]


def test_a_scaled_change_is_no_descent(tmp_path: Path) -> None:
    half = summed(model("base"), a=(0.5, model("a")))
    told = examined(tmp_path, model("a"), half, [model("base")])["weights.descent"]
    assert (told.message.key, told.arrow) == ("weights.descent.scaled", None)
    assert measured(told)["descent_forward_middle"] == pytest.approx(0.5, abs=1e-3)


def test_the_tree_puts_each_below_its_parent(tmp_path: Path) -> None:
    told = examined(tmp_path, model("a"), model("g"), [model("base")], [model("b"), model("c")])
    rows = {row[0]: row[1] for row in told["weights.geometry"].exhibits[1].data["rows"]}
    assert rows == {"reference": "base", "candidate": "panel 1", "panel 1": "reference", "panel 2": "base"}


def test_distances_are_root_mean_squares(tmp_path: Path) -> None:
    base = model("base")
    moved = {n: v + np.float32(0.25) if v.ndim > 1 else v for n, v in base.items()}
    told = examined(tmp_path, base, noised(base, 0.01), [], [moved])["weights.geometry"]
    rows = {(row[0], row[1]): row[2] for row in told.exhibits[0].data["rows"]}
    assert rows["reference", "panel"] == pytest.approx(0.25, rel=1e-5)
    assert rows["reference", "candidate"] == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("based", [True, False])
@pytest.mark.parametrize("swapped", [True, False])
def test_a_merge_of_two_has_its_coefficients(tmp_path: Path, based: bool, swapped: bool) -> None:
    made = summed(model("base"), a=(0.6, model("a")), c=(0.4, model("c")))
    sides = (made, model("a")) if swapped else (model("a"), made)
    bases = [model("base")] if based else []
    told = examined(tmp_path, *sides, bases, [model("c"), model("g")])["weights.merge"]
    assert told.message.key == "weights.merge.found"
    assert told.arrow == ("candidate" if swapped else "reference")
    found = measured(told)
    assert found["merge_coefficient"] == pytest.approx(0.6, abs=0.01)
    assert found["merge_parts"] == 2
    assert found["merge_unexplained"] < 0.01  # type: ignore[operator]


def test_a_part_that_seems_to_hold_the_whole_merge_is_not_its_child(tmp_path: Path) -> None:
    far = changed(model("base"), 31, 33, 0.0245)  # a has 0.6 of the merge and more: slope 1 on all of it
    made = summed(model("base"), a=(0.6, model("a")), far=(0.4, far))
    told = examined(tmp_path / "given", model("a"), made, [model("base")], [far])
    assert (told["weights.merge"].arrow, told["weights.descent"].arrow) == ("reference", None)
    assert told["weights.descent"].message.key == "weights.descent.merged"


def test_a_child_beside_siblings_is_no_merge(tmp_path: Path) -> None:
    told = examined(tmp_path, model("a"), model("b"), [model("base")], [model("c")])["weights.merge"]
    assert (told.message.key, told.arrow, measured(told)["merge_parts"]) == ("weights.merge.none", None, 0)


def test_matrices_that_no_base_has_are_listed(tmp_path: Path) -> None:
    base = {n: v for n, v in model("base").items() if "embed" not in n}
    told = examined(tmp_path, model("a"), model("b"), [base])["weights.novel"]
    assert measured(told) == {"novel_tensors": 1, "novel_elements": 300 * 64}
    assert told.exhibits[0].data["rows"][0][:2] == ["model", 1]


def test_strangers_have_no_descent(tmp_path: Path) -> None:
    other = drawn(SHAPES, 2)
    assert examined(tmp_path, model("base"), other, [model("a")]) == {}


def test_a_stranger_given_as_base_changes_nothing(tmp_path: Path) -> None:
    other = drawn(SHAPES, 2)
    assert "weights.descent" not in examined(tmp_path, model("a"), model("b"), [other])
