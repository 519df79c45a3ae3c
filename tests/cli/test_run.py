"""``apograph run`` on the tiny golden model."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra vlm is not installed")
pytest.importorskip("transformers", reason="the extra vlm is not installed")

from safetensors.torch import load_file

from apograph.cli import call
from tests.minicpmv.releases import GOLDEN, llama3v, write_release

IMAGE = str(GOLDEN / "images" / "vga640x480.png")
QUESTION = "What is written in this image? List every word."
FIXED = ["--dtype", "float32", "--device", "cpu", "--max-tokens", "8", "--decode", "greedy"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> str:
    weights = load_file(GOLDEN / "tiny_weights.safetensors")
    return str(write_release(tmp_path_factory.mktemp("run") / "candidate", weights, llama3v))


def test_one_answer_as_json_and_as_text(release: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", release, "--image", IMAGE, "--prompt", QUESTION, *FIXED]
    assert call([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    golden = json.loads((GOLDEN / "cases.json").read_text("utf-8"))["vga640x480"]
    assert answer["prompt_tokens"] == len(golden["input_ids"])
    assert (answer["completion_tokens"], answer["finish"]) == (8, "length")
    assert call(words) == 0
    shown = capsys.readouterr().out
    assert shown.isprintable() or "\n" in shown
    assert "\x1b" not in shown


def test_a_conversation_from_standard_input(
    release: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"hello\n/image {IMAGE}\nwhat is this?\n/image nowhere.png\nand then?\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert call(["run", release, "--json", *FIXED]) == 0
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert len(answers) == 3
    assert answers[2]["reused_tokens"] > answers[1]["prompt_tokens"] - 12
    assert "nowhere.png" in err


def test_quantised_form_is_saved_and_runs(
    release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = str(tmp_path / "int4")
    words = ["--prompt", "hello", "--json", "--device", "cpu", "--max-tokens", "6", "--decode", "greedy"]
    assert call(["run", release, *words, "--quantise", "int4", "--save", saved]) == 0
    first = json.loads(capsys.readouterr().out)["text"]
    assert call(["run", saved, *words]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == first


def test_boxes_are_drawn_to_a_file(release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    png = tmp_path / "boxes.png"
    words = ["--task", "act", "--prompt", "open the menu", "--history", "click <box>1 2 3 4</box>"]
    assert call(["run", release, "--image", IMAGE, *words, "--draw", str(png), *FIXED]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--task", "sing"], 4, "known are ocr"),
        (["--task", "act"], 4, "--prompt"),
        (["--draw", "x.png"], 4, "--image"),
        (["--save", "x"], 4, "--quantise"),
        (["--quantise", "int2"], 4, "int4"),
        (["--reading", "other"], 4, "two-d"),
        (["--image", "nowhere.png"], 4, "nowhere.png"),
        (["--image", __file__], 3, "not a readable"),
    ],
)
def test_wrong_usage(
    options: list[str], code: int, word: str, release: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = [] if "act" in options else ["--prompt", "x"]
    assert call(["run", release, *prompt, *options]) == code
    assert word in capsys.readouterr().err
