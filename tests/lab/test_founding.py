"""The founding case in small is built alike every time, and its candidate is what it is said to be."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pygit2
import pytest

from apograph.lab.founding import weights
from apograph.lab.founding.build import build
from apograph.lab.founding.rewrite import renamed
from apograph.lab.founding.stories import NAMES, stories
from apograph.release.safetensors_header import read_header


def test_two_buildings_are_equal(tmp_path: Path) -> None:
    heads = [
        {role: str(pygit2.Repository(str(path)).head.target) for role, path in build(folder).items()}
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    assert heads[0] == heads[1]
    assert set(heads[0]) == {"base", "reference", "candidate", "cousin", "unrelated"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(FileExistsError):
        build(tmp_path)


def test_the_candidate_holds_the_reference_s_tensors_under_other_names(tmp_path: Path) -> None:
    paths = build(tmp_path)
    names = {}
    for role in ("reference", "candidate"):
        index = json.loads((paths[role] / "model.safetensors.index.json").read_text())
        names[role] = list(index["weight_map"])
    expected = [
        name.replace("resampler.", "projection.").replace("vpm.", "vison.") for name in names["reference"]
    ]
    assert names["candidate"] == expected


def test_the_weights_file_is_valid_safetensors(tmp_path: Path) -> None:
    data = weights.safetensors(
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(1, np.float32)}
    )
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with path.open("rb") as stream:
        header = read_header(stream, len(data), "x")
    assert [(e.name, e.shape, e.dtype) for e in header.entries] == [("a", (2, 3), "F32"), ("b", (1,), "F32")]
    first = header.entries[0]
    assert np.frombuffer(data[first.start : first.stop], "<f4").tolist() == [0, 1, 2, 3, 4, 5]


def test_the_deleted_test_names_the_reference() -> None:
    candidate = stories()["candidate"]
    assert b"inkstone/SlipReader-V" in (candidate[0].files["test_image.py"] or b"")
    assert candidate[-1].files["test_image.py"] is None


def test_renaming_keeps_the_structure() -> None:
    source = (
        'def cut(picture: int) -> int:\n    """Doc."""\n    # why\n    return picture.cut(width=picture)\n'
    )
    assert renamed(source, NAMES) == "def slice_image(image):\n    return image.slice_image(dim=image)\n"
    assert ast.dump(ast.parse(renamed(source, {}))) == ast.dump(
        ast.parse("def cut(picture):\n    return picture.cut(width=picture)\n")
    )


def test_byte_pairs_by_hand() -> None:
    vocabulary, merges = weights.byte_pairs("abab ab", 1)
    assert merges == ["a b"]
    assert vocabulary == {"a": 0, "b": 1, "ab": 2}
