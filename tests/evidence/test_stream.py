"""One pass: the same figures for any blocks, threads, container; folds in order; interrupted and resumed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.align.tensors import Match, Part
from apograph.evidence import stream as stream_module
from apograph.evidence.moments import SUB, Moments, Stored, rows_of, values_of
from apograph.evidence.stream import part_range, stream
from apograph.evidence.stream_state import State, kept
from apograph.findings import Message, Refusal
from apograph.lab.founding.weights import safetensors
from apograph.release.tensor_store import open_store
from apograph.release.types import TensorInfo
from tests.evidence.arrays_store import ArraysStore, bf16, matched

SHAPES = {"a": (300, 257), "b": (5,), "c": (4, SUB), "d": (0, 3), "e": (64, 64)}


def stores() -> tuple[ArraysStore, ArraysStore]:
    random = np.random.default_rng(3)
    a = {name: random.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    b = {
        name: v + np.float32(0.1) * random.standard_normal(v.shape).astype(np.float32)
        for name, v in a.items()
    }
    return ArraysStore(a), ArraysStore(b)


class Seen:
    """A fold that keeps what it is shown."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls: list[tuple[str, int, float]] = []
        self.begun: list[str] = []
        self.fail_at = fail_at

    def begin(self, match: Match, info_a: TensorInfo, info_b: TensorInfo) -> None:
        self.begun.append(info_a.name)
        assert info_a.name == match.reference.name
        assert info_b.name == match.candidate.name

    def see(self, match: Match, start: int, a: NDArray[Any], b: NDArray[Any]) -> None:
        if len(self.calls) == self.fail_at:
            raise Refusal(2, Message("weights.turn"))
        self.calls.append((match.reference.name, start, float(np.dot(a.astype(float), b.astype(float)))))

    def finish(self) -> list[str]:
        return self.begun


class Total:
    """Adds up a match, and keeps where its pieces began."""

    def __init__(self, label: str) -> None:
        self.total, self.label, self.starts = np.zeros((2, 1)), label, [-1]
        self.lines = None

    def piece(self, start: int, a: Stored, b: Stored) -> NDArray[np.float64]:
        return np.array([[len(a)], [np.dot(values_of(a).astype(float), values_of(b).astype(float))]])

    def add(self, start: int, piece: NDArray[np.float64]) -> None:
        assert start > self.starts[-1]
        self.starts.append(start)
        self.total += piece


class Totals:
    """``Total`` of every match but "e"."""

    def __init__(self, label: str = "products") -> None:
        self.label = label
        self.of: dict[str, Total] = {}

    def sums(self, match: Match, info_a: TensorInfo, info_b: TensorInfo) -> Total | None:
        if match.reference.name == "e":
            return None
        return self.of.setdefault(match.reference.name, Total(self.label))

    @property
    def found(self) -> dict[str, list[float]]:
        return {name: total.total.reshape(-1).tolist() for name, total in self.of.items()}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "CHUNK", SUB)


def test_sums_do_not_depend_on_blocks_and_threads() -> None:
    a, b = stores()
    matches, first = matched(a, b), Totals()
    moments = stream(matches, a, b, [first], block=SUB, threads=1)
    assert first.of["c"].starts == [-1, 0, SUB, 2 * SUB, 3 * SUB]
    assert {n: t[0] for n, t in first.found.items()} == {n: a.arrays[n].size for n in SHAPES if n != "e"}
    for block, threads in ((SUB, 3), (3 * SUB, 2), (1 << 22, 4)):
        fold, seen = Totals(), Seen()
        assert stream(matches, a, b, [seen, fold], block=block, threads=threads) == moments
        assert fold.found == first.found
        assert seen.begun == list(SHAPES)


@pytest.mark.parametrize(("block", "threads"), [(1, 1), (SUB, 3), (3 * SUB, 2), (1 << 22, 4)])
def test_figures_do_not_depend_on_blocks_and_threads(block: int, threads: int) -> None:
    a, b = stores()
    matches = matched(a, b)
    expected = tuple(
        Moments.of(a.arrays[n].size, rows_of(a.arrays[n].reshape(-1), b.arrays[n].reshape(-1)))
        for n in SHAPES
    )
    assert stream(matches, a, b, block=block, threads=threads) == expected
    fold = Seen()
    assert stream(matches, a, b, [fold], block=block, threads=threads) == expected
    assert fold.begun == list(SHAPES)
    order = [(list(SHAPES).index(name), start) for name, start, _ in fold.calls]
    assert order == sorted(order)
    for name in SHAPES:
        total = sum(dot for n, _, dot in fold.calls if n == name)
        assert total == pytest.approx(np.sum(a.arrays[name].astype(float) * b.arrays[name]), rel=1e-9)


def test_container_does_not_matter(tmp_path: Path) -> None:
    a, b = stores()
    (tmp_path / "a.safetensors").write_bytes(safetensors(a.arrays))
    (tmp_path / "b.safetensors").write_bytes(safetensors(b.arrays))
    opened = [open_store(tmp_path / f"{side}.safetensors") for side in "ab"]
    matches = matched(a, b)
    assert stream(matches, *opened) == stream(matches, a, b)
    wide = ArraysStore({name: v.astype(np.float64) for name, v in a.arrays.items()})
    for narrow, exact in zip(stream(matches, a, b), stream(matches, wide, b), strict=True):
        assert narrow.sum_ab == pytest.approx(exact.sum_ab, rel=1e-6)
        assert (narrow.equal, narrow.bits_a, narrow.bits_b) == (exact.equal, exact.bits_a, exact.bits_b)


def test_bfloat16_as_stored_and_as_float32() -> None:
    a, b = stores()
    short = ArraysStore({name: bf16(v) for name, v in a.arrays.items()})
    long = ArraysStore({n: (bf16(v).astype(np.uint32) << 16).view(np.float32) for n, v in a.arrays.items()})
    matches = matched(a, b)
    assert stream(matches, short, b) == stream(matches, long, b)
    assert stream(matches, short, b)[0].bits_a == 7


def test_parts_and_transposed() -> None:
    a, b = stores()
    turned = ArraysStore({"t": np.ascontiguousarray(b.arrays["a"].T), "more": np.vstack([b.arrays["e"]] * 2)})
    matches = [
        Match(Part("a"), Part("t"), "renamed", 1.0, transposed=True),
        Match(Part("e", 8, 24), Part("more", 72, 88), "sliced", 1.0),
    ]
    found = stream(matches, a, turned, block=SUB)
    assert found[0] == stream([Match(Part("a"), Part("a"), "same", 1)], a, b)[0]
    assert found[1].n == 16 * 64
    assert found[1] == stream([Match(Part("e", 8, 24), Part("e", 8, 24), "same", 1)], a, b)[0]
    assert part_range(a, Part("e", 8)) == (512, 4096)


def test_unequal_parts_are_refused() -> None:
    a, b = stores()
    with pytest.raises(ValueError, match="elements against"):
        stream([Match(Part("e", 0, 2), Part("e"), "same", 1)], a, b)
    with pytest.raises(ValueError, match="rows"):
        stream([Match(Part("e", 0, 99), Part("e"), "same", 1)], a, b)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_all_threads(threads: int) -> None:
    a, b = stores()
    with pytest.raises(Refusal):
        stream(matched(a, b), a, b, [Seen(fail_at=2)], block=SUB, threads=threads)


def test_progress_reaches_the_end() -> None:
    a, b = stores()
    told: list[tuple[int, int]] = []
    stream(matched(a, b), a, b, block=SUB, progress=lambda done, total, _: told.append((done, total)))
    total = sum(v.size for v in a.arrays.values())
    assert told[-1] == (total, total)
    assert told == sorted(told)


class Interrupt:
    """Progress that is interrupted once, half way."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def __call__(self, done: int, total: int, seconds: float) -> None:
        if not self.told and done > total // 2:
            self.told.append(done)
            raise KeyboardInterrupt


def test_an_interrupted_pass_goes_on(tmp_path: Path) -> None:
    a, b = stores()
    matches, state = matched(a, b), str(tmp_path / "state")
    whole_fold, fold = Totals(), Totals()
    whole = stream(matches, a, b, [whole_fold])
    with pytest.raises(KeyboardInterrupt):
        stream(matches, a, b, [Totals()], threads=1, progress=Interrupt(), state=state)
    sums = [[fold.sums(m, a.infos["a"], b.infos["a"])] for m in matches]
    kept = State(state, matches, (a, b)).load(sums)
    assert 0 < len(kept) < len(matches)
    assert all(kept[n] == whole[n] for n in kept)
    fold, told, reads = Totals(), [], a.reads

    def progress(done: int, total: int, seconds: float) -> None:
        told.append(done)

    assert stream(matches, a, b, [fold], state=state, progress=progress) == whole
    assert told[-1] == sum(whole[n].n for n in range(len(matches)) if n not in kept)
    assert fold.found == whole_fold.found
    # Finished, the file stays: nothing but samples is read again.
    assert stream(matches, a, b, [again := Totals()], state=state) == whole
    assert again.found == whole_fold.found
    assert a.reads > reads


def test_a_line_cut_short_is_read_again(tmp_path: Path) -> None:
    a, b = stores()
    matches, state = matched(a, b), tmp_path / "state"
    whole = stream(matches, a, b)
    with pytest.raises(KeyboardInterrupt):
        stream(matches, a, b, threads=1, progress=Interrupt(), state=str(state))
    for cut in range(0, len(state.read_bytes()), 97):
        state.write_bytes(state.read_bytes()[: -cut or None])
        assert stream(matches, a, b, state=str(state)) == whole
        state.write_bytes(state.read_bytes().rstrip(b"\n"))
        assert stream(matches, a, b, state=str(state)) == whole


def test_sums_of_another_kind_are_not_used(tmp_path: Path) -> None:
    a, b = stores()
    matches, state = matched(a, b), str(tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        stream(matches, a, b, [Totals()], threads=1, progress=Interrupt(), state=state)
    other = Totals("other")
    stream(matches, a, b, [other], state=state)
    fresh = Totals("other")
    stream(matches, a, b, [fresh])
    assert other.found == fresh.found


def test_the_state_of_another_pair_is_not_used(tmp_path: Path) -> None:
    a, b = stores()
    matches, state = matched(a, b), tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        stream(matches, a, b, threads=1, progress=Interrupt(), state=str(state))
    kept = state.read_text()
    other = ArraysStore({**b.arrays, "e": b.arrays["e"] + np.float32(1)})
    assert stream(matches, a, other, state=str(state)) == stream(matches, a, other)
    state.write_text(kept.replace('"moments": [', '"moments": ["x", '))
    assert stream(matches, a, b, state=str(state)) == stream(matches, a, b)
    state.write_text(json.dumps([1]))
    assert stream(matches, a, b, state=str(state)) == stream(matches, a, b)


def test_states_that_nobody_went_on_with_are_removed(tmp_path: Path) -> None:
    old, new, other = tmp_path / f"weights-{'0' * 64}", tmp_path / f"weights-{'1' * 64}", tmp_path / "notes"
    for path in (old, new, other):
        path.write_text("")
    for path in (old, other):
        os.utime(path, (0, 0))
    with kept(str(tmp_path)):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [other.name, new.name]
