"""Order of hidden units in MLPs without a gate: the bound, copies, strangers, sorted units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from apograph.align.modules import Half, Module
from apograph.align.roles import View
from apograph.evidence.registry import Case
from apograph.evidence.unit_order import Order, fixed_points, orders, unit_order
from apograph.findings import Bearing, Finding
from apograph.lab.founding.weights import Array, safetensors
from apograph.release import open_release
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release
from apograph.report.words import text

UNITS, WIDTH, LAYERS = 192, 64, 2
UP, DOWN = "h.{}.mlp.c_fc.weight", "h.{}.mlp.c_proj.weight"
CONFIG = '{"model_type": "gpt2", "n_head": 4, "n_embd": 64}'


def model(seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> Array:
        return random.standard_normal(shape).astype(np.float32)

    made = {"wte.weight": drawn(100, WIDTH)}
    for n in range(LAYERS):
        made |= {f"h.{n}.ln_{i}.{x}": np.ones(WIDTH, np.float32) for i in (1, 2) for x in ("weight", "bias")}
        made |= {f"h.{n}.attn.c_attn.weight": drawn(WIDTH, 3 * WIDTH)}
        made |= {f"h.{n}.attn.c_proj.weight": drawn(WIDTH, WIDTH)}
        made |= {UP.format(n): drawn(WIDTH, UNITS), DOWN.format(n): drawn(UNITS, WIDTH)}
    return made


def noised(weights: dict[str, Array], sigma: float, seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {n: w + (sigma * random.standard_normal(w.shape)).astype(np.float32) for n, w in weights.items()}


def release(folder: Path, weights: dict[str, Array]) -> Release:
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG, "utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    return open_release(str(folder))


def found(folder: Path, a: dict[str, Array], b: dict[str, Array], *bases: dict[str, Array]) -> Finding | None:
    sides = [release(folder / name, w) for name, w in (("a", a), ("b", b))]
    own = tuple(release(folder / f"base{n}", w) for n, w in enumerate(bases))
    told: Iterator[Finding] = unit_order(Case(*sides, bases=own))  # type: ignore[assignment]
    return next(told, None)


def test_the_bound_by_enumeration() -> None:
    """All orders of five units: the bound is never below the share with at least k fixed points."""
    n = 5
    fixed = [sum(i == p for i, p in enumerate(order)) for order in permutations(range(n))]
    for k in range(n + 1):
        share = Fraction(sum(f >= k for f in fixed), len(fixed))
        assert math.log10(max(share, Fraction(1, 10**9))) <= fixed_points(k, n, n) + 1e-12
        assert fixed_points(k, n, n) == pytest.approx(-math.log10(math.factorial(k)))


def test_fewer_pairs_by_hand() -> None:
    assert fixed_points(2, 3, 10) == pytest.approx(math.log10(3 / 90))
    assert fixed_points(0, 3, 10) == 0.0
    assert fixed_points(14336, 14336, 14336) < -50_000


def test_a_noisy_copy_keeps_the_order(tmp_path: Path) -> None:
    a = model(1)
    told = found(tmp_path, a, noised(a, 0.1, 2))
    assert told is not None
    assert told.bearing is Bearing.DISTINCTIVE
    assert told.message.key == "weights.unit_order.found"
    assert told.strength.log10_p == pytest.approx(math.log10(2) - math.log10(math.factorial(UNITS)))
    assert "same order" in text(told.message)


def test_independent_models_do_not(tmp_path: Path) -> None:
    told = found(tmp_path, model(1), model(2))
    assert told is not None
    assert told.bearing is Bearing.AGAINST


def test_a_base_explains_the_order(tmp_path: Path) -> None:
    base = model(1)
    told = found(tmp_path, noised(base, 0.2, 2), noised(base, 0.2, 3), base)
    assert told is not None
    assert told.message.key == "weights.unit_order.explained"


def test_an_order_taken_over_is_weak(tmp_path: Path) -> None:
    """A stranger's units put in the other's order: in place, but no more alike than that allows."""
    a, b = model(1), model(2)
    from apograph.align.pairing import assigned

    for n in range(LAYERS):
        rows = [[w[UP.format(n)].T, w[DOWN.format(n)]] for w in (a, b)]
        order = assigned(rows[0], rows[1])[1]
        b[UP.format(n)] = np.ascontiguousarray(b[UP.format(n)][:, order])
        b[DOWN.format(n)] = b[DOWN.format(n)][order]
    told = found(tmp_path, a, b)
    assert told is not None
    assert told.message.key == "weights.unit_order.weak"


def test_dead_and_sorted_units_favour_no_order(tmp_path: Path) -> None:
    """Units that are all equal are matched in any order; units sorted by norm are not tested."""

    def ordered(up: Array) -> Order:
        path = tmp_path / "x.safetensors"
        path.write_bytes(safetensors({"up": up, "down": np.ascontiguousarray(up.T)}))
        stores: tuple[TensorStore, TensorStore] = (open_store(path), open_store(path))
        half = Half(View("up"), View("down"))
        return orders([Module("mlp", "x", (), UNITS, 1, 1, (half, half))], stores)[0]

    scales = np.random.default_rng(1).uniform(1, 2, (UNITS, 1)).astype(np.float32)
    same = ordered(np.ones((UNITS, WIDTH), np.float32) * scales)
    assert not same.sorted
    assert same.fixed < 6
    up = np.random.default_rng(0).standard_normal((UNITS, WIDTH)).astype(np.float32)
    assert ordered(up).fixed == UNITS
    assert ordered(up * np.linspace(1, 9, UNITS, dtype=np.float32)[:, None]).sorted
