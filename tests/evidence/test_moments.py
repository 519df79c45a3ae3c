"""The sums over two tensors: by hand, equal bits from both kernels, against extended precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from apograph.evidence.moments import NAMES, SUB, Moments, Stored, fast, rows_of

needs_fast = pytest.mark.skipif(not fast(), reason="numba (extra `fast`) is not installed")


def moments(a: Stored, b: Stored, plain: bool = True) -> Moments:
    return Moments.of(len(a), rows_of(a, b, plain))


def bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def pair(seed: int, n: int, kind: str) -> tuple[Stored, Stored]:
    random = np.random.default_rng(seed)
    a = random.standard_normal(n).astype(np.float32)
    b = a + np.float32(0.01) * random.standard_normal(n).astype(np.float32)
    a[random.random(n) < 0.1] = 0
    b[random.random(n) < 0.1] = -0.0
    return {
        "f32": (a, b),
        "bf16": (bf16(a), bf16(b)),
        "mixed": (a, bf16(b)),
        "f64": (a.astype(np.float64), b),
        "infinite": (np.where(random.random(n) < 1e-3, np.inf, a).astype(np.float32), b),
        "nan": (a, np.where(random.random(n) < 1e-3, np.nan, b).astype(np.float32)),
        "tiny": (a * np.float32(1e-25), b * np.float32(1e-25)),
        "huge": (a * np.float32(1e25), b * np.float32(1e25)),
    }[kind]


def test_by_hand() -> None:
    a = np.array([1, 2, 0, -4], np.float32)
    b = np.array([1, 2.5, -0.0, -3], np.float32)
    m = moments(a, b)
    assert (m.n, m.equal, m.zero_a, m.zero_b, m.zero_both, m.left_out) == (4, 1, 1, 1, 1, 0)
    assert (m.sum_a, m.sum_b, m.sum_d) == (-1, 0.5, 1.5)
    assert (m.sum_aa, m.sum_bb, m.sum_ab, m.sum_dd) == (21, 16.25, 18, 1.25)
    assert (m.sum_ddd, m.sum_dddd, m.max_d) == (1.125, 1.0625, 1)
    assert (m.bits_a, m.bits_b) == (0, 2)  # 2.5 is 1.01 in binary, -3 is 1.1
    assert m.cosine == pytest.approx(18 / math.sqrt(21 * 16.25), rel=1e-12)
    assert m.slope == pytest.approx(18 / 21, rel=1e-12)
    assert m.slope_back == pytest.approx(18 / 16.25, rel=1e-12)
    assert m.correlation == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-12)
    assert m.excess_kurtosis == pytest.approx(0.048095703125 / 0.171875**2 - 3, rel=1e-12)


def test_kurtosis_of_two_values_is_minus_two() -> None:
    d = np.array([1, -1, 1, -1], np.float32)
    assert moments(np.zeros(4, np.float32), d).excess_kurtosis == -2


def test_nothing_to_say() -> None:
    empty = moments(np.zeros(0, np.float32), np.zeros(0, np.float32))
    assert (empty.n, empty.cosine, empty.correlation, empty.excess_kurtosis) == (0, None, None, None)
    ones = moments(np.ones(100, np.float32), np.full(100, 2, np.float32))
    assert ones.correlation is None
    assert ones.cosine == pytest.approx(1)


@needs_fast
@pytest.mark.parametrize("kind", ["f32", "bf16", "mixed", "f64", "infinite", "nan", "tiny", "huge"])
@pytest.mark.parametrize("n", [1, 255, SUB, SUB + 1, 3 * SUB - 7, 20 * SUB])
def test_both_kernels_give_the_same_bits(kind: str, n: int) -> None:
    a, b = pair(n, n, kind)
    np.testing.assert_array_equal(rows_of(a, b), rows_of(a, b, plain=True))


@pytest.mark.parametrize("kind", ["f32", "bf16", "mixed", "f64", "tiny", "huge"])
def test_against_extended_precision(kind: str) -> None:
    a, b = pair(5, 5 * SUB + 11, kind)
    m = moments(a, b)
    x, y = (
        (v.astype(np.uint32) << np.uint32(16)).view(np.float32) if v.dtype == np.uint16 else v for v in (a, b)
    )
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    d = y - x
    for name, terms in {
        "sum_aa": x * x,
        "sum_bb": y * y,
        "sum_ab": x * y,
        "sum_dd": d * d,
        "sum_dddd": d**4,
    }.items():
        assert getattr(m, name) == pytest.approx(float(terms.sum()), rel=3e-7), name
    for name, terms in {"sum_a": x, "sum_b": y, "sum_d": d, "sum_ddd": d**3}.items():
        scale = float(np.abs(terms).sum())
        assert getattr(m, name) == pytest.approx(float(terms.sum()), abs=3e-8 * scale), name
    assert m.equal == np.count_nonzero((x == y) & (np.signbit(x) == np.signbit(y)))
    assert m.zero_both == np.count_nonzero((x == 0) & (y == 0))
    assert m.max_d == pytest.approx(float(np.abs(d).max()), rel=1e-6)


@pytest.mark.parametrize("kind", ["infinite", "nan"])
def test_what_is_not_finite_is_counted_and_left_out(kind: str) -> None:
    a, b = pair(2, 3 * SUB, kind)
    m = moments(a, b)
    fine = np.isfinite(a) & np.isfinite(b)
    assert m.left_out == np.count_nonzero(~fine) > 0
    d = (b[fine].astype(np.float64) - a[fine]) ** 2
    assert m.sum_dd == pytest.approx(d.sum(), rel=3e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32))
def test_swapping_the_sides_swaps_the_sums(blocks: int, seed: int) -> None:
    a, b = pair(seed, blocks * SUB - 3, "f32")
    there, back = moments(a, b), moments(b, a)
    assert there.sum_a == back.sum_b
    assert there.sum_dd == back.sum_dd
    assert there.sum_ddd == -back.sum_ddd
    assert (there.zero_a, there.bits_b, there.equal) == (back.zero_b, back.bits_a, back.equal)
    assert there.cosine == pytest.approx(back.cosine, rel=1e-6)
    assert there.slope == pytest.approx(back.slope_back, rel=1e-6)


def test_names_are_the_fields() -> None:
    assert Moments.__slots__ == ("n", *NAMES)
