"""The examiner of weights: copies, noise, frames, strangers, bases, weights that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.evidence.registry import Case
from apograph.evidence.weights import transformations
from apograph.findings import Bearing, Finding, Json, Message, Unexamined
from apograph.lab.founding.weights import drawn, safetensors
from apograph.release import open_release
from apograph.release.types import Release
from apograph.report.figures.heatmap import plain
from apograph.report.words import text
from tests.evidence.derivations import Family, needs_minilm
from tests.evidence.fakes import FakeRelease, tensors

SHAPES = {
    "model.embed.weight": (300, 64),
    "model.norm.weight": (64,),
    **{f"model.layers.{n}.{p}.weight": (96, 64) for n in range(3) for p in ("up", "gate")},
    **{f"model.layers.{n}.down.weight": (64, 96) for n in range(3)},
}
Weights = dict[str, NDArray[np.float32]]


def release(folder: Path, weights: Weights) -> Release:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    return open_release(str(folder))


def found(tmp_path: Path, a: Weights, b: Weights, *bases: Weights) -> dict[str, Finding]:
    case = Case(
        release(tmp_path / "a", a),
        release(tmp_path / "b", b),
        bases=tuple(release(tmp_path / f"base{n}", base) for n, base in enumerate(bases)),
    )
    results = {f.id: f for f in transformations(case) if isinstance(f, Finding)}
    for finding in results.values():
        assert text(finding.message)
        assert [text(m) for m in (*finding.limits, *finding.alternatives)]
    return results


def text_of(cell: Json) -> str:
    assert isinstance(cell, dict)
    return text(Message(str(cell["key"])))


def measured(finding: Finding) -> dict[str, Json]:
    return {m.name: m.value for m in finding.measures}


def noised(weights: Weights, sigma: float, seed: int = 11, again: bool = False) -> Weights:
    random = np.random.default_rng(seed)
    made = {}
    for name, value in weights.items():
        random = np.random.default_rng(seed) if again else random
        made[name] = value + np.float32(sigma) * random.standard_normal(value.shape).astype(np.float32)
    return made


def test_a_copy_is_identical(tmp_path: Path) -> None:
    weights = drawn(SHAPES, 1)
    told = found(tmp_path, weights, {f"other.{n}": v for n, v in weights.items()})["weights.transformation"]
    assert told.message.key.endswith(".identical")
    assert measured(told)["weights_identical"] == 1
    assert told.bearing is Bearing.DISTINCTIVE


def test_classes_and_distances_are_shown_by_layer_and_component(tmp_path: Path) -> None:
    weights = drawn(SHAPES, 1)
    other = noised(weights, 1 / 300)
    mixed = {n: other[n] if ".2." in n else v for n, v in weights.items()}
    told = found(tmp_path, weights, mixed)["weights.transformation"]
    table, layers = told.exhibits
    columns = list(table.data["columns"])  # type: ignore[arg-type, call-overload]
    at = columns.index("weights_class_identical"), columns.index("weights_class_noise")
    rows = {row[0]: row for row in table.data["rows"]}  # type: ignore[index, union-attr, call-overload]
    assert [rows["model.layers.*.up.weight"][n] for n in at] == [2, 1]
    assert (layers.kind, layers.data["rows"]) == ("heatmap", [0, 1, 2])
    assert layers.data["columns"] == ["up.weight", "gate.weight", "down.weight"]
    values = np.array(layers.data["values"], float)
    assert np.all(values[:2] == 0)
    sizes = [np.std(weights[f"model.layers.2.{n}"]) for n in ("up.weight", "gate.weight", "down.weight")]
    assert values[2] == pytest.approx([1 / 300 / size for size in sizes], rel=0.05)
    texts = layers.data["texts"]
    assert [text_of(cell) for cell in texts[2]] == ["noise"] * 3  # type: ignore[index, union-attr, call-overload]
    assert plain(layers.data, "en")[0].split() == ["up.weight", "gate.weight", "down.weight"]


def test_an_interrupted_examination_goes_on(tmp_path: Path) -> None:
    a, b = release(tmp_path / "a", drawn(SHAPES, 1)), release(tmp_path / "b", drawn(SHAPES, 2))
    whole = [r for r in transformations(Case(a, b)) if isinstance(r, Finding)]
    folder, told = tmp_path / "cache", [0]

    def interrupt(done: int, total: int, seconds: float) -> None:
        told.append(done)
        if done > total // 2 and len(told) < 99:
            told.extend([0] * 99)
            raise KeyboardInterrupt

    case = Case(a, b, shared={"weights.state": str(folder), "weights.progress": interrupt})
    with pytest.raises(KeyboardInterrupt):
        list(transformations(case))
    [kept] = folder.iterdir()
    assert kept.stat().st_size > 0
    path = tmp_path / "b" / "model.safetensors"
    before = path.stat().st_mtime_ns
    os.utime(path, ns=(1, 1))
    told[:] = [0] * 100
    changed = Case(a, open_release(str(tmp_path / "b")), shared=dict(case.shared))
    assert [r for r in transformations(changed) if isinstance(r, Finding)] == whole
    total = told[-1]
    assert told[100] < total // 2, "a changed file is read anew"
    assert list(folder.iterdir()) == [kept]
    os.utime(path, ns=(before, before))
    told[:] = [0] * 100
    assert [r for r in transformations(case) if isinstance(r, Finding)] == whole
    assert 0 < told[-1] < total, "only what was not kept is read"
    assert not list(folder.iterdir())


def test_a_tensor_left_over_is_not_identical(tmp_path: Path) -> None:
    weights = drawn(SHAPES, 1)
    told = found(tmp_path, weights, {**weights, "new": np.ones((40, 50), np.float32)})[
        "weights.transformation"
    ]
    assert measured(told)["weights_identical"] < 1  # type: ignore[operator]
    assert told.message.key.endswith(".made")


def test_independent_weights_speak_against(tmp_path: Path) -> None:
    results = found(tmp_path, drawn(SHAPES, 1), drawn(SHAPES, 2))
    told = results["weights.transformation"]
    assert told.bearing is Bearing.AGAINST
    assert measured(told)["weights_made"] == 0
    assert "weights.noise" not in results


def test_strided_framing_changes_nothing(tmp_path: Path) -> None:
    a, b = drawn(SHAPES, 1), drawn(SHAPES, 2)
    for name, value in b.items():
        value.reshape(-1)[::2000] = a[name].reshape(-1)[::2000]
    assert found(tmp_path, a, b)["weights.transformation"].bearing is Bearing.AGAINST


@pytest.mark.parametrize("again", [False, True])
def test_noise_with_one_sigma_points_to_its_source(tmp_path: Path, again: bool) -> None:
    weights = drawn(SHAPES, 1)
    results = found(tmp_path, weights, noised(weights, 1 / 300, again=again))
    told, noise = results["weights.transformation"], results["weights.noise"]
    assert (told.bearing, told.arrow, noise.arrow) == (Bearing.DISTINCTIVE, "reference", "reference")
    assert noise.message.key.endswith("reseeded" if again else "uniform")
    assert measured(noise)["weights_sigma"] == pytest.approx(1 / 300, rel=0.02)
    assert [e.kind for e in noise.exhibits] == ["histogram", "qq"]
    assert sum(noise.exhibits[0].data["counts"]) == pytest.approx(
        sum(noise.exhibits[0].data["law"]["values"]), rel=0.01
    )


def test_noise_of_several_sigmas_is_not_uniform(tmp_path: Path) -> None:
    weights = drawn(SHAPES, 1)
    more = {n: noised({n: v}, 0.001 * (1 + k % 3), k)[n] for k, (n, v) in enumerate(weights.items())}
    assert found(tmp_path, weights, more)["weights.noise"].message.key.endswith("various")


def test_what_a_base_explains_does_not_count(tmp_path: Path) -> None:
    base = drawn(SHAPES, 1)
    told = found(tmp_path, noised(base, 0.001, 2), noised(base, 0.001, 3), base)["weights.transformation"]
    assert told.message.key.endswith(".explained")
    assert told.bearing is Bearing.CONTEXT


def test_a_child_of_the_reference_is_beyond_the_base(tmp_path: Path) -> None:
    base = drawn(SHAPES, 1)
    reference = noised(base, 0.002, 2)
    told = found(tmp_path, reference, noised(reference, 0.0005, 3), base)["weights.transformation"]
    assert told.bearing is Bearing.DISTINCTIVE
    assert measured(told)["weights_bases"] == 1


def test_computed_tables_never_count(tmp_path: Path) -> None:
    a, b = drawn(SHAPES, 1), drawn(SHAPES, 2)
    a["model.position_table"] = b["model.position_table"] = np.sin(
        np.outer(np.arange(64), 1 / np.arange(1, 40))
    ).astype(np.float32)
    assert found(tmp_path, a, b)["weights.transformation"].bearing is Bearing.AGAINST


def test_absent_weights_are_not_examined(tmp_path: Path) -> None:
    absent = FakeRelease(tensors=tensors(["a.weight"]))
    results = list(transformations(Case(absent, release(tmp_path / "b", drawn(SHAPES, 1)))))
    assert [type(r) for r in results] == [Unexamined]
    assert (results[0].side, results[0].fault) == ("reference", False)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return Family(tmp_path_factory.mktemp("minilm"), rows=1000)


KINDS = {
    "renamed": "identical",
    "bf16": "cast",
    "fp16": "cast",
    "noise_fp16": "noise",
    "noise_bf16": "noise",
    "noise_reseeded": "noise",
    "int8": "quantised",
    "q8_0": "quantised",
    "q4_0": "quantised",
    "nf4": "quantised",
    "pruned": "pruned",
    "layer_dropped": "identical",
    "lora_merged": "low_rank",
    "fine_tuned": "fine_tuned",
    "vocabulary_extended": "identical",
    "twin": "unrelated",
}
EVERY_MATRIX = {"bf16", "fp16", "noise_fp16", "noise_bf16", "noise_reseeded", "q8_0", "q4_0"}


@needs_minilm
@pytest.mark.parametrize("name", KINDS)
def test_every_derivation_of_a_real_checkpoint(family: Family, name: str) -> None:
    if name in ("fine_tuned", "twin"):
        pytest.importorskip("torch", reason="training the derivation needs torch")
    reference, candidate = (open_release(str(family[n].parent)) for n in ("original", name))
    results = {f.id: f for f in transformations(Case(reference, candidate)) if isinstance(f, Finding)}
    told = results["weights.transformation"]
    seen = told.message.params["list"]
    kinds = {part.split(" ", 1)[1].replace(" ", "_"): int(part.split()[0]) for part in str(seen).split(", ")}
    most = max(kinds, key=lambda k: kinds[k])
    if name == "lora_merged":
        assert kinds["low_rank"] == 12
    else:
        assert most == KINDS[name], seen
    shares = [measured(told)[f"weights_{n}"] for n in ("computed", "made")]
    # Two models trained from one start, or with an adapter each, differ in such ways as well.
    assert (shares[0] < shares[1]) == (name in ("lora_merged", "fine_tuned"))
    if name in EVERY_MATRIX:
        assert set(kinds) <= {KINDS[name], "identical"}, seen  # its word embeddings came from float16
    assert (told.bearing is Bearing.DISTINCTIVE) == (name != "twin"), seen
    if name.startswith("noise"):
        noise = results["weights.noise"]
        within = 0.03 if name == "noise_bf16" else 0.01
        assert measured(noise)["weights_sigma"] == pytest.approx(1 / 708, rel=within)
        assert noise.message.key.endswith("reseeded" if name == "noise_reseeded" else "uniform")
        assert noise.arrow == "reference"
