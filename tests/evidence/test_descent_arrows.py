"""Arrows: what two that were made from a third must not show, and what a descendant must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.evidence.descent_arrows import arrows, slopes, source_of
from apograph.evidence.noise_law import noise_law
from apograph.evidence.stream import stream
from apograph.evidence.transformation import Transformation, transformation
from apograph.findings import Finding, Side
from apograph.report.words import text
from tests.evidence.arrays_store import ArraysStore, matched
from tests.evidence.test_grids import eight, four

RANDOM = np.random.default_rng(21)
SHAPE = (256, 320)
Weights = Mapping[str, NDArray[Any]]
BASE: Weights = {f"w{n}": (0.05 * RANDOM.standard_normal(SHAPE)).astype(np.float32) for n in range(6)}


def told(a: Weights, b: Weights) -> list[Transformation]:
    stores = ArraysStore(a), ArraysStore(b)
    matches = matched(*stores)
    moments = stream(matches, *stores)
    return [transformation(match, m, *stores) for match, m in zip(matches, moments, strict=True)]


def arrow(a: Weights, b: Weights) -> Side | None:
    """Both ways round, which have to agree; and as the finding has it."""
    there, back = told(a, b), told(b, a)
    sides = source_of(there, noise_law(there)), source_of(back, noise_law(back))
    assert sides in ((None, None), ("reference", "candidate"), ("candidate", "reference"))
    found = [f for f in arrows(there) if isinstance(f, Finding)]
    assert [f.arrow for f in found] in ([], [sides[0]])
    assert all(text(m) for f in found for m in (f.message, *f.limits))
    return sides[0]


def every(make: Any, weights: Weights = BASE) -> Weights:
    return {name: make(values) for name, values in weights.items()}


def half(values: NDArray[Any]) -> NDArray[np.float16]:
    return values.astype(np.float16)


def brain(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(ml_dtypes.bfloat16).astype(np.float32)


def cut(share: float) -> Any:
    return lambda v: np.where(np.abs(v) < np.quantile(np.abs(v), share), 0, v).astype(np.float32)


def noise(values: NDArray[Any]) -> NDArray[np.float32]:
    return (values + 0.005 * RANDOM.standard_normal(SHAPE)).astype(np.float32)


def adapter(size: float = 0.002) -> NDArray[np.float64]:
    return size * RANDOM.standard_normal((SHAPE[0], 4)) @ RANDOM.standard_normal((4, SHAPE[1]))


def adapted(weights: Weights) -> Weights:
    """An adapter merged into the first two matrices."""
    return {n: (v + adapter()).astype(v.dtype) if n in ("w0", "w1") else v for n, v in weights.items()}


def tuned(values: NDArray[Any]) -> NDArray[np.float32]:
    low = RANDOM.standard_normal((SHAPE[0], 90)) @ RANDOM.standard_normal((90, SHAPE[1]))
    return (values + 0.0005 * low).astype(np.float32)


@pytest.mark.parametrize("make", [half, brain, eight, four, cut(0.5), noise])
def test_the_descendant_of_a_release_bears_the_mark(make: Any) -> None:
    assert arrow(BASE, every(make)) == "reference"


@pytest.mark.parametrize("make", [eight, four, cut(0.5)])
def test_so_does_one_of_a_release_in_bfloat16(make: Any) -> None:
    assert arrow(every(brain), every(make, every(brain))) == "reference"


@pytest.mark.parametrize(
    "both",
    [(half, brain), (brain, eight), (brain, four), (eight, four), (cut(0.5), eight), (cut(0.3), cut(0.5)),
     (brain, cut(0.5)), (noise, noise), (brain, noise), (tuned, eight), (tuned, cut(0.5)), (tuned, half)],
)  # fmt: skip
def test_two_that_were_made_from_a_third_have_no_arrow(both: tuple[Any, Any]) -> None:
    assert arrow(every(both[0]), every(both[1])) is None


@pytest.mark.parametrize("make", [half, brain, eight, noise])
def test_parts_that_one_side_left_as_they_were_prove_nothing(make: Any) -> None:
    assert arrow(adapted(BASE), every(make)) is None
    assert arrow(adapted(BASE), adapted(every(make))) is None


def test_matrices_that_cannot_tell_speak_against_nothing() -> None:
    some = {n: half(v).astype(np.float32) if n == "w5" else v for n, v in BASE.items()}
    assert arrow(some, every(eight, some)) == "reference"
    assert arrow(every(half), every(eight, every(half))) is None


def test_an_adapter_points_to_what_it_was_merged_into() -> None:
    for base in (BASE, every(half)):
        assert arrow(base, adapted(base)) == "reference"
        assert arrow(adapted(base), adapted(base)) is None
    assert arrow(adapted(BASE), adapted(every(half))) is None


def test_other_matrices_with_noise_and_more_point_the_same_way() -> None:
    some = {n: eight(noise(v)) if n in ("w0", "w1", "w2") else noise(v) for n, v in BASE.items()}
    assert arrow(BASE, some) == "reference"


def test_slopes_of_what_was_turned_say_nothing() -> None:
    from dataclasses import replace

    child = every(tuned)
    assert [f.id for f in slopes(told(BASE, child))] == ["weights.slopes"]
    assert list(slopes([replace(t, turned=True) for t in told(BASE, child)])) == []


def test_what_was_reduced_to_a_low_rank_is_not_the_source() -> None:
    """What was taken away is orthogonal to what is left, exactly: as if it had been added to it."""

    def reduced(values: NDArray[Any]) -> NDArray[np.float32]:
        u, s, v = np.linalg.svd(values, full_matrices=False)
        return ((u[:, :80] * s[:80]) @ v[:80]).astype(np.float32)

    assert [f.arrow for f in slopes(told(BASE, every(tuned)))] == ["reference"]
    small = told(BASE, every(reduced))
    assert "noise" in {t.kind for t in small}
    assert [f.arrow for f in slopes(small)] == [None]
    assert source_of(small, noise_law(small)) is None
