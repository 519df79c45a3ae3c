"""Tables that software computes are told from weights by content, and do not make strangers related."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from apograph.align.tensors import Match, Part
from apograph.evidence.computed_tables import ROWS, computed_table, table_rows
from apograph.evidence.registry import Case
from apograph.evidence.stream import stream
from apograph.evidence.transformation import Transformation, transformation
from apograph.evidence.weights import transformations
from apograph.findings import Finding
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from tests.evidence.arrays_store import ArraysStore

Table = NDArray[Any]


def sinusoids(rows: int, columns: int) -> Table:
    angles = np.arange(rows)[:, None] / 10000 ** (np.arange(0, columns, 2) / columns)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def interleaved(rows: int, columns: int) -> Table:
    table = sinusoids(rows, columns)
    return np.stack(np.split(table, 2, axis=1), axis=2).reshape(rows, columns)


def triangles(filters: int, bins: int) -> Table:
    return np.maximum(0, 1 - np.abs(np.linspace(0, filters, bins) - np.arange(filters)[:, None]))


def mel(filters: int, bins: int) -> Table:
    """Triangles evenly spaced in mel to 8 kHz: the lowest are as narrow as one bin."""
    edges = 700 * (10 ** (np.linspace(0, 2840, filters + 2) / 2595) - 1)
    f = np.linspace(0, 8000, bins)
    up = (f - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - f) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def fourier(rows: int, columns: int, window: bool) -> Table:
    kernels = np.cos(2 * np.pi * np.outer(np.arange(rows), np.arange(columns)) / columns)
    return kernels * np.hanning(columns) if window else kernels


TABLES = {
    "identity": np.eye(64),
    "scaled": 0.5 * np.eye(32, 80),
    "causal": np.where(np.tril(np.ones((128, 128))) > 0, 0.0, -np.inf),
    "constant": np.ones((64, 64)),
    "sinusoids": sinusoids(512, 64),
    "interleaved": interleaved(1500, 384),
    "caches": np.cos(np.outer(np.arange(300), 10000 ** (-np.arange(32) / 32))),
    "triangles": triangles(80, 201),
    "mel": mel(80, 201),
    "mel 128": mel(128, 257),
    "mel turned": mel(80, 201).T,
    "fourier": fourier(65, 128, False),
    "windowed": fourier(201, 400, True),
    "windowed short": fourier(65, 128, True),
    "cosines": np.cos(np.pi / 80 * np.outer(np.arange(40), np.arange(80) + 0.5)),
    "ramps": np.outer(2.0 ** -np.arange(16), np.arange(100)),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_software_computes(name: str, dtype: type[np.generic]) -> None:
    stored = TABLES[name].astype(dtype).astype(np.float32)
    assert computed_table(stored)
    assert computed_table(stored.T)


def test_positions_in_a_plane_and_those_that_were_trained_on() -> None:
    line = sinusoids(16, 48)
    plane = np.concatenate([np.repeat(line, 16, 0), np.tile(line, (16, 1))], 1)
    assert computed_table(plane.astype(np.float16).astype(np.float32))
    noise = np.random.default_rng(1).standard_normal((512, 64))
    assert computed_table(sinusoids(512, 64) + 0.2 * noise)
    assert not computed_table(sinusoids(512, 64) + 2 * noise)


def learned(kind: str, rows: int, columns: int, seed: int) -> Table:
    random = np.random.default_rng(seed)
    w = 0.05 * random.standard_normal((rows, columns))
    if kind == "heavy":
        return 0.02 * random.standard_t(3, (rows, columns))
    if kind == "trained":  # strong directions, scaled columns, a few outlying rows
        u, v = random.standard_normal((rows, 4)), random.standard_normal((4, columns))
        w = (w + 0.1 * u @ v) * random.lognormal(0, 0.7, columns)
        w[:: max(rows // 3, 1)] *= 20
    if kind == "shifted":  # far from zero, as the gains of norms
        return w + 1
    if kind == "low rank":
        return np.outer(random.standard_normal(rows), w[0]) + np.outer(random.standard_normal(rows), w[1])
    if kind == "rank one":
        return np.outer(random.standard_normal(rows), w[0])
    if kind == "pruned":
        return np.where(np.abs(w) < np.median(np.abs(w)), 0, w)
    if kind == "sparse":
        return np.where(random.random(w.shape) < 0.98, 0, w)
    if kind == "two of four":
        groups = np.abs(w[:, : columns // 4 * 4]).reshape(-1, 4)
        keep = np.argsort(np.argsort(groups, axis=1), axis=1) >= 2
        return w[:, : columns // 4 * 4] * keep.reshape(rows, -1)
    if kind == "blocks":  # grouped, written out
        size = columns // 4
        return w * (np.arange(rows)[:, None] * 4 // rows == np.arange(columns) // max(size, 1))
    if kind == "int4":
        step = np.abs(w).max(axis=1, keepdims=True) / 7
        return np.round(w / step) * step
    if kind == "ternary":
        return np.clip(np.round(w / np.abs(w).mean()), -1, 1)
    if kind == "smooth":  # neighbours alike, as in learned positions and kernels of images
        walk = np.zeros_like(w)
        for t in range(1, columns):
            walk[:, t] = 0.9 * walk[:, t - 1] + w[:, t]
        return walk
    if kind == "sorted":  # a vocabulary by frequency, which shows in one direction
        return w + np.outer(np.linspace(-3, 3, rows) ** 3, w[0])
    return w


KINDS = (
    "random",
    "heavy",
    "trained",
    "shifted",
    "low rank",
    "rank one",
    "pruned",
    "sparse",
    "two of four",
    "blocks",
    "int4",
    "ternary",
    "smooth",
    "sorted",
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(KINDS), st.integers(16, 200), st.integers(16, 200), st.integers(0, 2**32 - 1))
def test_what_training_leaves_is_none(kind: str, rows: int, columns: int, seed: int) -> None:
    assert not computed_table(learned(kind, rows, columns, seed).astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_at_one_size(kind: str) -> None:
    assert not computed_table(learned(kind, 96, 128, 1).astype(np.float32))


def test_a_few_regular_rows_make_no_table() -> None:
    mixed = learned("random", 64, 128, 1)
    mixed[:32] = fourier(65, 128, False)[1:33]
    assert not computed_table(mixed)


def test_no_number_is_no_table() -> None:
    assert not computed_table(np.full((16, 16), np.nan, np.float32))
    table = TABLES["sinusoids"].copy()
    table[0, 0] = np.inf
    assert not computed_table(table)


def test_a_sample_keeps_the_recurrence_down_the_rows() -> None:
    store = ArraysStore({"w": sinusoids(1500, 3000).astype(np.float32)})
    rows = table_rows(store, Part("w"))
    assert rows.shape == (500, 2048)
    assert len(rows) <= ROWS
    assert np.array_equal(rows[1], store.arrays["w"][3, :2048])
    assert computed_table(rows)
    assert np.array_equal(table_rows(store, Part("w", 10, 12)), store.arrays["w"][10:12, :2048])


def told(values: Table, reference: str, candidate: str) -> Transformation:
    stores = ArraysStore({reference: values}), ArraysStore({candidate: values.copy()})
    matches = [Match(Part(reference), Part(candidate), "renamed", 1.0)]
    return transformation(matches[0], stream(matches, *stores)[0], *stores)


def test_names_count_on_both_sides_only() -> None:
    weights = learned("trained", 64, 64, 1).astype(np.float32)
    assert told(weights, "position_ids", "rotary.cache").computed
    assert not told(weights, "layer.weight", "position.layer.weight").computed
    assert not told(weights, "position.layer.weight", "layer.weight").computed
    assert told(np.eye(64, dtype=np.float32), "a", "b").computed


def test_a_cast_table_is_a_table() -> None:
    table = TABLES["sinusoids"].astype(np.float32)
    stores = ArraysStore({"a": table}), ArraysStore({"a": table.astype(np.float16)})
    matches = [Match(Part("a"), Part("a"), "same", 1.0)]
    found = transformation(matches[0], stream(matches, *stores)[0], *stores)
    assert (found.kind, found.computed) == ("cast", True)


def model(seed: int, **more: Table) -> dict[str, Table]:
    shapes = {f"model.layers.{n}.mlp.{p}.weight": (96, 64) for n in range(2) for p in ("up", "gate")}
    random = np.random.default_rng(seed)
    trained = {name: 0.05 * random.standard_normal(shape) for name, shape in shapes.items()}
    return {name: values.astype(np.float32) for name, values in {**trained, **more}.items()}


def made(tmp_path: Path, reference: dict[str, Table], candidate: dict[str, Table]) -> float:
    sides = []
    for name, weights in (("a", reference), ("b", candidate)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(safetensors(weights))
        sides.append(open_release(str(tmp_path / name)))
    findings = [f for f in transformations(Case(sides[0], sides[1])) if isinstance(f, Finding)]
    measures = {m.name: m.value for f in findings for m in f.measures}
    value = measures["weights_made"]
    assert isinstance(value, float)
    return value


def test_strangers_with_one_table_stay_strangers(tmp_path: Path) -> None:
    names = ("identity", "sinusoids", "triangles", "fourier")
    tables = {f"extractor.{n}.kernel": TABLES[n] for n in names}
    assert made(tmp_path, model(1, **tables), model(2, **tables)) == 0


def test_a_prefix_does_not_hide_a_copy(tmp_path: Path) -> None:
    original = model(1)
    assert made(tmp_path, original, {f"position.{n}": v for n, v in original.items()}) == 1
