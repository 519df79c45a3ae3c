"""``apograph finetune`` on the tiny golden model: trained, interrupted, merged, and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="the extra vlm is not installed")

from PIL import Image
from safetensors.torch import load_file

from apograph.cli import call
from tests.minicpmv.releases import GOLDEN, write_release

FIXED = ["--dtype", "float32", "--device", "cpu"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    weights = load_file(GOLDEN / "tiny_weights.safetensors")
    return str(write_release(tmp_path_factory.mktemp("finetune") / "model", weights))


@pytest.fixture
def conversations(tmp_path: Path) -> str:
    Image.new("RGB", (56, 56), "white").save(tmp_path / "blank.png")
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "blank"}]
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"id": "1", "image": "blank.png", "conversations": turns}]))
    return str(path)


def test_trains_and_writes_a_model_that_runs(
    model: str, conversations: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["finetune", model, conversations, "--out", str(tmp_path / "state"), "--steps", "3", *FIXED]
    words += ["--rate", "1e-3", "--rank", "4", "--save-every", "1"]
    assert call([*words, "--merged", str(tmp_path / "merged")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [step for step, _ in lines] == ["0", "1", "2"]
    assert float(lines[2][1]) < float(lines[0][1])
    asked = ["--prompt", "?", "--json", "--max-tokens", "2", "--decode", "greedy", *FIXED]
    assert call(["run", str(tmp_path / "merged"), *asked]) == 0
    before = load_file(Path(model) / "model.safetensors")
    after = load_file(tmp_path / "merged" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert any("q_proj" in name for name in changed)
    assert not any(name.startswith("vpm.") for name in changed)
    capsys.readouterr()
    assert call(words) == 0  # nothing is left to do
    assert capsys.readouterr().out == ""
    assert call([*words, "--seed", "1"]) == 4  # another recipe


@pytest.mark.parametrize(
    ("content", "code"), [("[]", 2), ("{", 2), ('[{"id": "1", "conversations": []}]', 2), (None, 4)]
)
def test_bad_conversations_get_one_line(
    model: str, tmp_path: Path, content: str | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.json"
    if content is not None:
        path.write_text(content)
    assert call(["finetune", model, str(path), "--out", str(tmp_path / "state")]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "data.json" in err
