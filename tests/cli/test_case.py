"""Case files: strict, and read from where they lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apograph.cli.case import AnswerFiles, Dating, Inputs, files_text, read_case, with_files_of
from apograph.findings import Refusal


def test_names_below_the_folder_are_taken_from_there(tmp_path: Path) -> None:
    for name in ("ref", "cand"):
        (tmp_path / name).mkdir()
    (tmp_path / "claims.toml").touch()
    (tmp_path / "case.toml").write_text(
        'reference = "ref@abc"\ncandidate = "cand"\nbase = ["owner/name@v1"]\nclaims = "claims.toml"\n'
    )
    assert read_case(str(tmp_path / "case.toml")) == Inputs(
        f"{tmp_path}/ref@abc", f"{tmp_path}/cand", ("owner/name@v1",), (), (), f"{tmp_path}/claims.toml"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "side"),
        (b'reference = "a"', "side"),
        (b'reference = "a"\ncandidate = 1', "side"),
        (b'reference = "a"\ncandidate = "b"\nbase = [1]', "value"),
        (b'reference = "a"\ncandidate = "b"\nbase = 1', "value"),
        (b'reference = "a"\ncandidate = "b"\nclaims = ["c"]', "value"),
        (b'reference = "a"\ncandidate = "b"\nlogits = 3', "value"),
        (b'reference = "a"\ncandidate = "b"\nbases = ["c"]', "field"),
        (b"reference =", "toml"),
        (b"\xff", "toml"),
        (b"a = " + b"[" * 100_000, "toml"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "case.toml").write_bytes(content)
    with pytest.raises(Refusal) as refused:
        read_case(str(tmp_path / "case.toml"))
    assert (refused.value.code, refused.value.message.key) == (4, f"cli.error.case.{kind}")


def test_answers_in_a_case_file(tmp_path: Path) -> None:
    for name in ("r.jsonl", "c.jsonl", "p.jsonl"):
        (tmp_path / name).write_text("")
    case = tmp_path / "case.toml"
    case.write_text(
        'reference = "a"\ncandidate = "b"\nanswers = ["r.jsonl", "c.jsonl"]\npanel_answers = ["p.jsonl"]\n'
    )
    files = read_case(str(case)).answers
    assert files is not None
    assert (files.reference, files.candidate) == (str(tmp_path / "r.jsonl"), str(tmp_path / "c.jsonl"))
    assert (files.panel, files.noised, files.key) == ((str(tmp_path / "p.jsonl"),), (), None)


@pytest.mark.parametrize(
    "line", ['answers = ["one"]', 'key = "k"', 'answers = ["a", "b"]\nkey = 3', "answers = [1, 2]"]
)
def test_answers_that_make_no_sense_are_refused(tmp_path: Path, line: str) -> None:
    case = tmp_path / "case.toml"
    case.write_text(f'reference = "a"\ncandidate = "b"\n{line}\n')
    with pytest.raises(Refusal) as refusal:
        read_case(str(case))
    assert refusal.value.code == 4


def test_files_survive_a_saved_report() -> None:
    answers = AnswerFiles("r", "c", ("p",), ("n1", "n2"), "k")
    dating = Dating(("w",), ("roots.pem",), ("candidate=2024-05-28",))
    given = Inputs("a", "b", claims="x", answers=answers, dating=dating, logits="l")
    assert with_files_of(Inputs("a", "b"), files_text(given), "r.json") == given
    assert files_text(Inputs("a", "b", base=("c",))) == ""
    assert with_files_of(Inputs("a", "b"), "", "r.json") == Inputs("a", "b")
    other = Inputs("a", "b", claims="y", dating=Dating(("v",)))
    assert with_files_of(other, files_text(given), "") == replace(given, claims="y", dating=Dating(("v",))), (
        "what is named now comes first"
    )
    for bad in ("[]", '{"claims": 1}', '{"reference": "x"}'):
        with pytest.raises(Refusal):
            with_files_of(Inputs("a", "b"), bad, "r.json")
