"""Blind pairings: they find reordered units, and no sign changes what they find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.align import pairing
from apograph.align.pairing import Sketch, as_stored, assigned, basis, paired


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def signs(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1, 1], shape).astype(np.float32)


@pytest.mark.parametrize("limit", [2048, 0])
def test_reordered_and_flipped_rows_are_found(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "ASSIGNED", limit)
    monkeypatch.setattr(pairing, "STEP", 7)
    monkeypatch.setattr(pairing, "WIDE", 11)
    a = [drawn(1, 60, 32), drawn(2, 60, 32)]
    order = np.random.default_rng(3).permutation(60)
    b = [m[order] * signs(n, 60, 1) + 0.3 * drawn(9 + n, 60, 32) for n, m in enumerate(a)]
    i, j = assigned(a, b)
    assert len(i) == 60
    assert np.array_equal(order[j], i)


def test_neighbours_that_are_not_mutual_are_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "ASSIGNED", 0)
    a = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    b = np.array([[1, 0], [0, 1]], np.float32)
    i, j = assigned([a], [b])
    assert list(zip(i, j, strict=True)) == [(0, 0), (2, 1)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["mlp", "vo", "qk"]))
def test_no_sign_changes_a_pairing(seed: int, family: str) -> None:
    """Units flipped in all matrices that hold them, on either side: the same pairs."""
    shape = (12, 1, 1) if family == "mlp" else (3, 2, 4)
    groups, shared, units = shape

    def side(n: int) -> Sketch:
        return Sketch(drawn(n, groups, units, 8), drawn(n + 1, groups, shared, units, 8))

    def flipped(s: Sketch, n: int) -> Sketch:
        turn = signs(n, groups, units, 1)
        return Sketch(s.near * turn, s.far * turn[:, None])

    a, b = side(seed), side(seed + 7)
    plain = paired(family, a, b)
    turned = paired(family, flipped(a, seed), flipped(b, seed + 3))
    for x, y in zip(plain, turned, strict=True):
        assert np.array_equal(np.abs(x.near), np.abs(y.near))
        assert np.array_equal(np.abs(x.far), np.abs(y.far))


def test_heads_and_dimensions_are_found() -> None:
    near, far = drawn(1, 4, 6, 40), drawn(2, 4, 3, 6, 40)
    random = np.random.default_rng(5)
    groups, heads, dims = random.permutation(4), random.permutation(3), random.permutation(6)
    b = Sketch(near[groups][:, dims], far[groups][:, heads][:, :, dims])
    x, y = paired("vo", Sketch(near, far), b)
    assert np.array_equal(x.near, y.near)
    assert np.array_equal(x.far, y.far)
    b = Sketch(near[groups], far[groups][:, heads])
    x, y = paired("qk", Sketch(near, far), b)
    assert np.array_equal(x.far, y.far)


def test_a_side_with_fewer_units() -> None:
    near, far = drawn(1, 30, 1, 24), drawn(2, 30, 1, 1, 24)
    kept = np.array([3, 4, 11, 29])
    a, b = Sketch(near, far), Sketch(near[kept], far[kept])
    assert not as_stored(a, b)
    x, y = paired("mlp", a, b)
    assert np.array_equal(x.near, y.near)
    assert len(x.near) == 4


def test_a_rotation_is_found_only_where_there_is_one() -> None:
    table = drawn(1, 400, 20)
    turn = np.linalg.qr(drawn(2, 20, 20))[0]
    found = basis(table, table @ turn + 0.1 * drawn(3, 400, 20))
    assert found is not None
    assert found == pytest.approx(turn, abs=0.05)
    assert basis(table, table + 0.1 * drawn(3, 400, 20)) is None
    assert basis(table, np.zeros_like(table)) is None
