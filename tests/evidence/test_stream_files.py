"""Blocks read and summed in one compiled call: the same rows, and as strict as the stores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from apograph.align.tensors import Match, Part
from apograph.evidence import coin_plain
from apograph.evidence.coin_plain import Lines
from apograph.evidence.moments import SUB, fast, rows_of
from apograph.evidence.stream import part_range, stream
from apograph.evidence.stream_files import FilePair, file_pair
from apograph.findings import Refusal
from apograph.lab.founding.weights import safetensors
from apograph.release.elements import Bytes
from apograph.release.tensor_store import TensorStore, open_store
from tests.evidence.arrays_store import ArraysStore, bf16

pytestmark = pytest.mark.skipif(not fast(), reason="numba (extra `fast`) is not installed")

WHOLE = Match(Part("w"), Part("w"), "same", 1.0)


def opened(
    folder: Path, seed: int, short: bool = True, shape: tuple[int, int] = (40, SUB // 4)
) -> TensorStore:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    w = bf16(values) if short else values
    at = 4 * shape[1]
    header = {
        "first": {"dtype": "F32", "shape": [1, shape[1]], "data_offsets": [0, at]},
        "w": {"dtype": "BF16" if short else "F32", "shape": shape, "data_offsets": [at, at + w.nbytes]},
    }
    text = json.dumps(header).encode()
    whole = len(text).to_bytes(8, "little") + text + values[:1].tobytes() + w.tobytes()
    path = folder / f"{seed}-{short}.safetensors"
    path.write_bytes(whole)
    return open_store(path)


def buffers() -> list[Bytes]:
    return [np.empty(0, np.uint8) for _ in range(2)]


def pair(match: Match, stores: tuple[TensorStore, TensorStore]) -> FilePair | None:
    parts = match.reference, match.candidate
    return file_pair(match, stores, (part_range(stores[0], parts[0])[0], part_range(stores[1], parts[1])[0]))


@pytest.mark.parametrize("short", [True, False])
def test_rows_are_those_of_the_elements(tmp_path: Path, short: bool) -> None:
    stores = opened(tmp_path, 1, short), opened(tmp_path, 2, short)
    match = Match(Part("w", 1, 39), Part("w", 2, 40), "sliced", 1.0)
    files = pair(match, stores)
    assert files is not None
    start, stop = SUB, 9 * SUB + 3
    a, b = (s.raw("w", n + start, n + stop) for s, n in zip(stores, (SUB // 4, SUB // 2), strict=True))
    assert a is not None
    assert b is not None
    for lines in (None, Lines(SUB // 4, False), Lines(SUB // 4, True), Lines(1000, False), Lines(1000, True)):
        found = files.summed(start, stop, lines, buffers())
        assert found is not None
        np.testing.assert_array_equal(found[0], rows_of(a, b, plain=True))
        if lines is not None:
            expected = lines.room(start, stop - start)
            coin_plain.products(a, b, start, *lines, expected)
            np.testing.assert_array_equal(found[1], expected)


def test_what_float32_cannot_hold_is_summed_again(tmp_path: Path) -> None:
    values = np.ones(SUB, np.float32)
    values[5] = np.inf
    path = tmp_path / "odd.safetensors"
    path.write_bytes(safetensors({"w": values.reshape(1, -1)}))
    store = open_store(path)
    assert stream([WHOLE], store, store)[0].left_out == 1


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    stores = opened(tmp_path, 1), opened(tmp_path, 2)
    path = tmp_path / "2-True.safetensors"
    os.truncate(path, path.stat().st_size - 2)
    files = pair(WHOLE, stores)
    assert files is not None
    assert files.summed(0, SUB, None, buffers()) is not None
    assert files.summed(9 * SUB, 10 * SUB, None, buffers()) is None
    with pytest.raises(Refusal):
        stream([WHOLE], *stores)


def test_what_the_stores_have_to_read(tmp_path: Path) -> None:
    stores = opened(tmp_path, 1), opened(tmp_path, 2, False)
    assert pair(WHOLE, stores) is None
    square = opened(tmp_path, 3, shape=(8, 8)), opened(tmp_path, 4, shape=(8, 8))
    assert pair(WHOLE, square) is not None
    assert pair(Match(Part("w"), Part("w"), "renamed", 1.0, transposed=True), square) is None
    arrays = ArraysStore({"w": np.zeros((40, SUB // 4), np.float32)})
    assert pair(WHOLE, (arrays, stores[1])) is None
