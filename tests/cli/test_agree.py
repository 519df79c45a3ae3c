"""The four commands on answers, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from apograph.behaviour.simulate import copied, simulate
from apograph.cli import call
from apograph.report.json_format import loads
from tests.behaviour.server import said, serving
from tests.behaviour.write import jsonl


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Reference, a copy, twelve unrelated models; keys apart."""
    folder = tmp_path_factory.mktemp("answers")
    rng = np.random.default_rng(4)
    sheet = copied(rng, simulate(rng, 300, [1.0] * 14, options=50), 0, 1, 0.8)
    jsonl(folder / "key.jsonl", [{"item": f"q{n}", "key": "r0"} for n in range(300)])
    return [
        str(
            jsonl(
                folder / f"m{j}.jsonl",
                [{"item": f"q{n}", "raw": f"r{c}"} for n, c in enumerate(column.codes.tolist())],
            )
        )
        for j, column in enumerate(sheet.columns)
    ]


def key(files: list[str]) -> list[str]:
    return ["--key", str(Path(files[0]).parent / "key.jsonl")]


def panel(files: list[str]) -> list[str]:
    return [word for name in files[2:] for word in ("--panel", name)]


def test_two_files_and_a_panel(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.json"
    page = tmp_path / "r.html"
    code = call(["agree", *files[:2], *panel(files), *key(files), "--json", str(out), "--html", str(page)])
    assert code == 0
    told = capsys.readouterr().out
    assert "same wrong answer" in told
    report = loads(out.read_bytes(), "r.json")
    assert [r.role for r in report.releases] == ["reference", "candidate", *["panel"] * 12]
    assert {"answers.overlap", "answers.identical", "answers.rank"} <= {f.id for f in report.findings}
    assert report.conclusion.relation == "undetermined"
    assert report.conclusion.notes == ()
    assert b"<svg" in page.read_bytes()
    assert b'class="matrix square"' in page.read_bytes()


def test_why_no_strength_is_stated_stands_with_the_conclusion(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["agree", *files[:2], *key(files)]) == 0
    assert "No panel of unrelated models was given." in capsys.readouterr().out


def test_pictures_of_the_items_stand_in_the_table_of_shared_errors(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    rows = [{"item": f"q{n}", "prompt": "Read.", "images": ["a.jpg"]} for n in range(300)]
    image.new("RGB", (900, 300), "red").save(tmp_path / "a.jpg")
    items, page = str(jsonl(tmp_path / "items.jsonl", rows)), tmp_path / "r.html"
    assert call(["agree", *files[:2], *key(files), "--items", items, "--html", str(page)]) == 0
    assert page.read_text().count('<img src="data:image/png;base64,') == 40


def test_three_files_make_a_matrix(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["agree", *files[:5], *key(files), "-v"]) == 0
    told = capsys.readouterr().out
    assert "most alike first: m0 and m1" in told.replace("\n", " ").replace("               ", "")
    assert "\nreference" not in told
    assert "5 models were compared on 300 items" in " ".join(told.split())


def test_the_matrix_is_open_to_the_eye(files: list[str], tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    assert call(["agree", *files[:3], *key(files), "--html", str(page)]) == 0
    text = page.read_text()
    before = text[: text.index('class="matrix square"')]
    assert before.count("<details") == before.count("</details>")
    assert "Files of answers" in text
    assert "ancestors" not in text[: text.index("Files of answers")]


def test_wrong_use(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["agree", files[0]]) == 4
    assert call(["agree", *files[:3], "--noised", files[4]]) == 4
    assert call(["power", "--alpha", "2"]) == 4
    assert call(["items", "commit", files[0]]) == 4
    assert call(["agree", files[0], "/nowhere.jsonl"]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 5


def test_the_planning_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["power"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0.333", "359", "101", "46", "29"] in lines
    assert ["0.6", "–", "–", "224", "88"] in lines
    assert call(["power", "--panel-rate", "0.2", "--candidate-rate", "0.65"]) == 0
    assert ["0.2", "45"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_choose_commit_ask_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    rows = [{"item": f"q{n}", "prompt": f"Letter {n}?", "key": "A"} for n in range(6)]
    items = str(jsonl(tmp_path / "items.jsonl", rows))
    for name, wrong in (("ref", "BBBAAA"), ("pan", "CBAAAC")):
        with serving(lambda body, _, w=wrong: (200, {}, said(w[int(body["messages"][0]["content"][7])]))) as (
            url,
            _,
        ):
            assert call(["ask", url, items, "--name", name, "--out", str(tmp_path / f"{name}.jsonl")]) == 0
    chosen, record = str(tmp_path / "chosen.jsonl"), str(tmp_path / "record.json")
    told = ["--reference", str(tmp_path / "ref.jsonl"), "--panel", str(tmp_path / "pan.jsonl")]
    assert call(["items", "choose", items, *told, "--most", "2", "--out", chosen]) == 0
    assert [json.loads(line)["item"] for line in Path(chosen).read_text().splitlines()] == ["q0", "q2"]
    assert call(["items", "commit", chosen, "--record", record]) == 0
    commitment = json.loads(Path(record).read_text())["commitment"]
    assert commitment in capsys.readouterr().out
    assert call(["items", "verify", chosen, "--record", record]) == 0
    assert call(["items", "verify", items, "--record", record]) == 1


def test_unanswered_items_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = str(jsonl(tmp_path / "items.jsonl", [{"item": "q", "prompt": "?"}]))
    with serving(lambda *_: (404, {}, b"")) as (url, _):
        assert call(["ask", url, items, "--name", "m", "--out", str(tmp_path / "o.jsonl")]) == 2
        assert call(["ask", url, items, "--out", str(tmp_path / "o.jsonl")]) == 4
    assert "1 unanswered" in capsys.readouterr().err
