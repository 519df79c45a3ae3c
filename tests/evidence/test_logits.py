"""Logits of a candidate against the output layers of reference, candidate and bases."""

import json
from pathlib import Path

import numpy as np
import pytest

from apograph.evidence.logits import logits, read_vectors
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Refusal, Unexamined
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from apograph.release.types import Release
from apograph.report.words import text

VOCABULARY, HIDDEN = 300, 24


def head(seed: int, vocabulary: int = VOCABULARY) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(vocabulary, HIDDEN)).astype(np.float32)


def release(folder: Path, layer: np.ndarray, name: str = "lm_head.weight") -> Release:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors({name: layer}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return open_release(str(folder))


def stored(path: Path, vectors: np.ndarray, name: str = "logits") -> str:
    path.write_bytes(safetensors({name: vectors.astype(np.float32)}))
    return str(path)


def said(layer: np.ndarray, n: int = 12) -> np.ndarray:
    return np.random.default_rng(99).normal(size=(n, HIDDEN)) @ layer.T


def examined(folder: Path, vectors: np.ndarray, **layers: np.ndarray) -> list[Finding | Unexamined]:
    """``layers``: output layers of reference, candidate and base."""
    made = {role: release(folder / role, layer) for role, layer in layers.items()}
    bases = (made["base"],) if "base" in made else ()
    path = stored(folder / "vectors.safetensors", vectors)
    return list(logits(Case(made["reference"], made["candidate"], bases, logits=read_vectors(path))))


def found(results: list[Finding | Unexamined]) -> Finding:
    assert isinstance(results[-1], Finding)
    return results[-1]


def keys(finding: Finding) -> set[str]:
    return {message.key.rpartition(".")[2] for message in finding.limits}


def test_a_copied_layer_is_certified_against_a_base(tmp_path: Path) -> None:
    finding = found(examined(tmp_path, said(head(1)), reference=head(1), candidate=head(1), base=head(2)))
    assert finding.id == "answers.logits"
    assert finding.bearing is Bearing.SUPPORTING
    assert finding.measures[0].value == pytest.approx(0.0, abs=1e-4)
    assert "This certifies the output layer only." in text(finding.message)
    assert finding.strength.log10_p is None
    rows = finding.exhibits[0].data["rows"]
    assert [row[1] > 0.8 for row in rows] == [False, False, True]


def test_without_a_base_nothing_is_supported(tmp_path: Path) -> None:
    finding = found(examined(tmp_path, said(head(1)), reference=head(1), candidate=head(1)))
    assert finding.bearing is Bearing.CONTEXT
    assert "no_base" in keys(finding)


def test_a_frozen_layer_of_the_base_is_explained(tmp_path: Path) -> None:
    """Reference and candidate both kept the base's output layer: they need not be related otherwise."""
    finding = found(examined(tmp_path, said(head(1)), reference=head(1), candidate=head(1), base=head(1)))
    assert finding.bearing is Bearing.CONTEXT
    assert finding.message.key == "answers.logits.explained"


def test_a_stranger_lies_outside(tmp_path: Path) -> None:
    finding = found(examined(tmp_path, said(head(3)), reference=head(1), candidate=head(3), base=head(2)))
    assert finding.bearing is Bearing.CONTEXT
    assert finding.message.key == "answers.logits.outside"
    assert finding.measures[0].value == pytest.approx(finding.measures[1].value, abs=0.03)


def test_vectors_of_another_model_than_the_candidate(tmp_path: Path) -> None:
    finding = found(examined(tmp_path, said(head(1)), reference=head(1), candidate=head(3), base=head(2)))
    assert "own_head" in keys(finding)


def test_added_tokens_and_lost_vectors_are_told(tmp_path: Path) -> None:
    longer = np.vstack([head(1), head(5, 6)])
    vectors = said(longer)
    vectors[3, 7] = np.nan
    vectors[4, 2] = -np.inf
    finding = found(examined(tmp_path, vectors, reference=head(1), candidate=longer, base=head(2)))
    assert finding.message.key == "answers.logits.inside"
    assert {"vocabulary", "lost"} <= keys(finding)
    assert finding.measures[0].n == 10


def test_a_tied_embedding_serves_as_output_layer(tmp_path: Path) -> None:
    one = release(tmp_path / "a", head(1), "model.embed_tokens.weight")
    path = stored(tmp_path / "v.safetensors", said(head(1)))
    finding = found(list(logits(Case(one, one, logits=read_vectors(path)))))
    assert finding.message.key == "answers.logits.inside"


def test_without_a_known_output_layer_it_is_not_examined(tmp_path: Path) -> None:
    one = release(tmp_path / "a", head(1), "mystery.weight")
    path = stored(tmp_path / "v.safetensors", said(head(1)))
    gaps = list(logits(Case(one, one, logits=read_vectors(path))))
    assert {gap.reason.key for gap in gaps if isinstance(gap, Unexamined)} == {"readers.answers.no_head"}
    assert len(gaps) == 2


def test_vectors_that_are_all_alike_say_nothing(tmp_path: Path) -> None:
    results = examined(tmp_path, np.tile(said(head(1), 1), (5, 1)), reference=head(1), candidate=head(1))
    assert [r.reason.key for r in results if isinstance(r, Unexamined)] == [
        "answers.unexamined.no_constraint"
    ]


def test_nothing_is_said_without_logits(tmp_path: Path) -> None:
    one = release(tmp_path / "a", head(1))
    assert list(logits(Case(one, one))) == []


def hostile(shape: list[int], dtype: str = "F32", data: bytes = b"") -> bytes:
    entry = {"logits": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}}
    header = json.dumps(entry).encode()
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    ("content", "code", "key"),
    [
        (hostile([1 << 40, 1 << 40]), 2, "readers.tensors.size"),
        (hostile([0, 5]), 2, "readers.answers.logits_file"),
        (hostile([4], data=bytes(16)), 2, "readers.answers.logits_file"),
        (hostile([2, 2], "I32", bytes(16)), 2, "readers.answers.logits_file"),
        (hostile([1, (1 << 21) + 1], "F16", bytes(2 * ((1 << 21) + 1))), 5, "readers.answers.vocabulary"),
        (safetensors({"other": np.ones((2, 2), np.float32)}), 2, "readers.answers.logits_file"),
        (b"\x80\x04\x95", 3, None),
        (b"", 3, None),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, content: bytes, code: int, key: str | None) -> None:
    path = tmp_path / "v.safetensors"
    path.write_bytes(content)
    with pytest.raises(Refusal) as refused:
        read_vectors(str(path))
    assert refused.value.code in ((code,) if key else (2, 3))
    assert key is None or refused.value.message.key == key


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal):
        read_vectors(str(tmp_path / "none.safetensors"))
