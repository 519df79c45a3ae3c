"""``apograph rename``: the real checkpoint under other names and back, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from apograph.cli import call
from tests.evidence.derivations import Family, needs_minilm, new_name
from tests.release.checkpoints import float8_blocks, int8, write_safetensors


def folder(place: Path, names: dict[str, int]) -> Path:
    place.mkdir()
    random = np.random.default_rng(1)
    arrays = {n: ("BF16", random.integers(0, 1 << 14, (rows, 8), np.uint16)) for n, rows in names.items()}
    write_safetensors(place / "model.safetensors", arrays)
    (place / "config.json").write_text(json.dumps({"model_type": place.name}))
    return place


@needs_minilm
def test_the_real_checkpoint_gets_its_names_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family = Family(tmp_path, rows=1000)
    original, renamed = family["original"], family["renamed"]
    assert (
        call(["rename", str(renamed.parent), "--like", str(original.parent), "--out", str(tmp_path / "o")])
        == 0
    )
    assert "102 of them renamed; paired by content" in capsys.readouterr().out
    from safetensors.numpy import load_file

    back = load_file(tmp_path / "o" / "model.safetensors")
    assert set(back) == set(family.arrays)
    assert all(np.array_equal(back[n], a) for n, a in family.arrays.items())
    assert sum(new_name(n) != n for n in family.arrays) > 90


def test_the_files_beside_are_the_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folder(tmp_path / "a", {"x.q": 3, "x.k": 4}), folder(tmp_path / "b", {"y.q": 3, "y.k": 4})
    (a / "modeling.py").write_text("raise SystemExit")
    (a / "tokenizer.json").write_text("{}")
    assert call(["rename", str(b), "--like", str(a), "--out", str(tmp_path / "o")]) == 0
    out = tmp_path / "o"
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert json.loads((out / "config.json").read_text()) == {"model_type": "a"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(out)
    assert said[1].startswith("2 tensors in 1 file, 2 of them renamed")
    assert call(["rename", str(b), "--like", str(a), "--out", str(out)]) == 4
    assert "exists already" in capsys.readouterr().err


def test_what_is_not_answered_gives_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folder(tmp_path / "a", {"x.q": 3, "x.other": 5}), folder(tmp_path / "b", {"x.q": 3})
    assert call(["rename", str(b), "--like", str(a), "--out", str(tmp_path / "o")]) == 2
    assert "1 name of the reference is answered by no tensor, first x.other" in capsys.readouterr().out


def test_quantised_weights_and_no_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = folder(tmp_path / "a", {"m.weight": 4})
    packed = tmp_path / "p"
    packed.mkdir()
    write_safetensors(packed / "model.safetensors", int8("m", np.ones((4, 8), np.float32)))
    assert call(["rename", str(packed), "--like", str(a), "--out", str(tmp_path / "o")]) == 3
    assert "is stored as INT8" in capsys.readouterr().err
    blocks = tmp_path / "f"
    blocks.mkdir()
    write_safetensors(blocks / "model.safetensors", float8_blocks("m", np.ones((4, 8), np.float32)))
    assert call(["rename", str(blocks), "--like", str(a), "--out", str(tmp_path / "o")]) == 3
    assert "is not written" in capsys.readouterr().err
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "config.json").write_text('{"model_type": "x"}')
    assert call(["rename", str(tmp_path / "n"), "--like", str(a), "--out", str(tmp_path / "o")]) == 3
    assert "has no weights" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
