"""A checkpoint in pieces: read back by the format's own library, resumed, never half under its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from apograph.findings import Refusal
from apograph.release import safetensors_writer as writer
from apograph.release.safetensors_writer import Planned, write_checkpoint
from apograph.release.tensor_store import open_store

ARRAYS = {
    "a.weight": np.arange(600, dtype=np.float32).reshape(20, 30),
    "b": np.array(7, dtype=np.int64),
    "empty": np.empty((0, 3), np.float32),
    "c": np.linspace(0, 1, 1001, dtype=np.float16),
}
TYPES = {"f4": "F32", "i8": "I64", "f2": "F16"}
PLAN = [Planned(f"new.{n}", TYPES[a.dtype.str[1:]], a.shape, n) for n, a in ARRAYS.items()]


class StopError(Exception):
    pass


def reader(limit: int | None = None) -> Callable[[Planned, int, int], Any]:
    """Reads from ``ARRAYS`` and stops after ``limit`` pieces."""
    asked: list[tuple[str, int, int]] = []

    def read(tensor: Planned, start: int, stop: int) -> Any:
        if limit is not None and len(asked) == limit:
            raise StopError
        asked.append((tensor.source, start, stop))
        return ARRAYS[tensor.source].reshape(-1)[start:stop].view(f"<u{tensor.width}")

    read.asked = asked  # type: ignore[attr-defined]
    return read


def files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def key(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code, refused.value.message.key


def test_the_formats_own_library_reads_it(tmp_path: Path) -> None:
    names = write_checkpoint(str(tmp_path / "o"), PLAN, reader(), job="j", beside={"config.json": b"{}"})
    assert names == ("model.safetensors",)
    assert set(files(tmp_path / "o")) == {"model.safetensors", "config.json"}
    loaded = load_file(tmp_path / "o" / "model.safetensors")
    assert {n.removeprefix("new."): a.tolist() for n, a in loaded.items()} == {
        n: a.tolist() for n, a in ARRAYS.items()
    }
    assert [p.name for p in tmp_path.iterdir()] == ["o"]


def test_shards_with_an_index(tmp_path: Path) -> None:
    names = write_checkpoint(str(tmp_path / "o"), PLAN, reader(), job="j", largest=2408)
    assert names == ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    index = json.loads((tmp_path / "o" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 2400 + 8 + 2002
    assert index["weight_map"]["new.c"] == names[1]
    store = open_store(tmp_path / "o")
    assert list(store.infos) == [t.name for t in PLAN]
    assert store.unexamined == ()


@pytest.mark.parametrize("largest", [1, 1 << 30])
@pytest.mark.parametrize("limit", range(12))
def test_resumed_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, largest: int
) -> None:
    monkeypatch.setattr(writer, "PIECE", 200)
    write_checkpoint(str(tmp_path / "whole"), PLAN, reader(), job="j", largest=largest)
    first, second = reader(limit), reader()
    target = str(tmp_path / "o")
    try:
        write_checkpoint(target, PLAN, first, job="j", largest=largest)
        assert limit > 9
    except StopError:
        assert not (tmp_path / "o").exists()
        write_checkpoint(target, PLAN, second, job="j", largest=largest)
        asked = second.asked + first.asked  # type: ignore[attr-defined]
        assert len(set(asked)) == len(asked)  # nothing was read twice
    assert files(tmp_path / "o") == files(tmp_path / "whole")


def test_what_did_not_reach_the_disk_is_written_again(tmp_path: Path) -> None:
    target = tmp_path / "o"
    with pytest.raises(StopError):
        write_checkpoint(str(target), PLAN, reader(2), job="j")
    part = tmp_path / "o.part" / "model.safetensors"
    with part.open("ab") as stream:
        stream.write(b"lost" * 10_000)
    write_checkpoint(str(target), PLAN, reader(), job="j")
    assert np.array_equal(load_file(target / "model.safetensors")["new.c"], ARRAYS["c"])


def test_another_job_is_not_resumed_and_nothing_is_overwritten(tmp_path: Path) -> None:
    target = str(tmp_path / "o")
    with pytest.raises(StopError):
        write_checkpoint(target, PLAN, reader(1), job="j")
    before = files(tmp_path / "o.part")
    assert key(lambda: write_checkpoint(target, PLAN, reader(), job="other")) == (4, "write.other")
    assert key(lambda: write_checkpoint(target, PLAN[:1], reader(), job="j")) == (4, "write.other")
    assert files(tmp_path / "o.part") == before
    (tmp_path / "o").mkdir()
    assert key(lambda: write_checkpoint(target, PLAN, reader(), job="j")) == (4, "write.exists")


def test_no_room_no_place_and_a_last_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = [Planned("x", "F32", (1 << 40, 1 << 10), "x")]
    assert key(lambda: write_checkpoint(str(tmp_path / "o"), huge, reader(), job="j")) == (5, "write.room")
    assert list(tmp_path.iterdir()) == []
    assert key(lambda: write_checkpoint(str(tmp_path / "a" / "b"), PLAN, reader(), job="j")) == (
        4,
        "write.system",
    )

    def changed() -> None:
        raise StopError

    with pytest.raises(StopError):
        write_checkpoint(str(tmp_path / "o"), PLAN, reader(), job="j", check=changed)
    assert not (tmp_path / "o").exists()


def test_progress_reaches_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PIECE", 100)
    told: list[tuple[int, int]] = []
    write_checkpoint(
        str(tmp_path / "o"), PLAN, reader(), job="j", progress=lambda done, all_, _: told.append((done, all_))
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == (tmp_path / "o" / "model.safetensors").stat().st_size
