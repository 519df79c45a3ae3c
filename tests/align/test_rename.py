"""Which name each tensor takes: by the structure of names, by content where they leave doubt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from apograph.align.rename import NewNames, new_names
from apograph.cli import call
from apograph.release import open_release
from apograph.release.tensor_store import open_store
from tests.release.checkpoints import write_safetensors

RANDOM = np.random.default_rng(3)
SHAPES = {"embed.weight": (60, 40), "norm.weight": (40,)} | {
    f"layers.{n}.{part}.weight": (40, 40) for n in range(3) for part in ("up", "down", "gate")
}
WEIGHTS = {name: RANDOM.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


def folder(place: Path, arrays: dict[str, np.ndarray]) -> Path:
    place.mkdir()
    write_safetensors(place / "model.safetensors", {n: ("F32", a) for n, a in arrays.items()})
    return place


def named(reference: Path, candidate: Path) -> NewNames:
    release = open_release(str(candidate))
    assert release.tensors is not None
    return new_names(open_release(str(reference)), release.tensors, open_store(release))


def test_prefixes_by_names_even_from_an_index_alone(tmp_path: Path) -> None:
    candidate = folder(tmp_path / "b", {f"model.{n}": a for n, a in WEIGHTS.items()})
    index = tmp_path / "a"
    index.mkdir()
    text = json.dumps({"weight_map": dict.fromkeys(WEIGHTS, "1.safetensors")})
    (index / "model.safetensors.index.json").write_text(text)
    found = named(index, candidate)
    assert found.names == {f"model.{n}": n for n in WEIGHTS}
    assert (found.basis, found.renamed, found.kept, found.absent, found.shapes) == ("names", 11, (), (), 0)


def test_layers_in_another_order_stay_in_it(tmp_path: Path) -> None:
    turned = {n.replace("layers.0", "x").replace("layers.2", "layers.0").replace("x", "layers.2"): a
              for n, a in WEIGHTS.items()}  # fmt: skip
    found = named(folder(tmp_path / "a", WEIGHTS), folder(tmp_path / "b", turned))
    assert (found.basis, found.renamed) == ("names", 0)


def test_names_that_say_nothing_by_content(tmp_path: Path) -> None:
    hashed = {f"t{hash_:02d}": name for hash_, name in enumerate(sorted(WEIGHTS, key=lambda n: n[::-1]))}
    noisy = {new: WEIGHTS[old] + np.float32(0.01) for new, old in hashed.items()}
    found = named(folder(tmp_path / "a", WEIGHTS), folder(tmp_path / "b", noisy))
    assert (found.basis, found.names) == ("content", hashed)


def test_what_has_no_counterpart_keeps_a_name_that_is_free(tmp_path: Path) -> None:
    reference = {n: a for n, a in WEIGHTS.items() if n != "norm.weight"} | {
        "extra.weight": RANDOM.standard_normal((7, 9)).astype(np.float32)
    }
    found = named(folder(tmp_path / "a", reference), folder(tmp_path / "b", WEIGHTS))
    assert found.kept == ("norm.weight",)
    assert found.names["norm.weight"] == "norm.weight"
    assert found.absent == ("extra.weight",)
    assert len(set(found.names.values())) == len(WEIGHTS)


def test_a_name_that_another_takes_is_not_given_twice(tmp_path: Path) -> None:
    first, second = (RANDOM.standard_normal((40, 40)).astype(np.float32) for _ in range(2))
    reference = folder(tmp_path / "a", {"p.weight": first, "q.weight": second})
    candidate = folder(
        tmp_path / "b", {"z9.weight": second, "q.weight": np.ones((7, 3), np.float32), "p.weight": first}
    )
    found = named(reference, candidate)
    assert found.names == {"z9.weight": "q.weight", "q.weight": "unmatched.q.weight", "p.weight": "p.weight"}


def test_another_shape_is_counted(tmp_path: Path) -> None:
    longer = WEIGHTS | {"embed.weight": np.vstack([WEIGHTS["embed.weight"], np.ones((4, 40), np.float32)])}
    found = named(folder(tmp_path / "a", WEIGHTS), folder(tmp_path / "b", longer))
    assert found.names["embed.weight"] == "embed.weight"
    assert (found.shapes, found.renamed) == (1, 0)


def test_what_was_fused_is_cut_and_what_was_split_is_joined(tmp_path: Path) -> None:
    """Both ways give the other side's tensors back, element for element."""
    split = folder(tmp_path / "split", WEIGHTS)
    fused_weights = {n: a for n, a in WEIGHTS.items() if "up" not in n and "gate" not in n}
    for n in range(3):
        pair = [WEIGHTS[f"layers.{n}.{part}.weight"] for part in ("gate", "up")]
        fused_weights[f"layers.{n}.gate_up.weight"] = np.concatenate(pair)
    fused = folder(tmp_path / "fused", fused_weights)
    for reference, candidate, arrays in ((split, fused, WEIGHTS), (fused, split, fused_weights)):
        out = tmp_path / f"{candidate.name}-renamed"
        assert call(["rename", str(candidate), "--like", str(reference), "--out", str(out), "-q"]) == 0
        back = load_file(out / "model.safetensors")
        assert back.keys() == arrays.keys()
        assert all(np.array_equal(back[n], a) for n, a in arrays.items())
    found = named(split, fused)
    assert (found.basis, found.cut, found.kept, found.absent, found.shapes) == ("content", 6, (), (), 0)
