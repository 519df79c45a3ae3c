"""Answer files that are well formed, and the ways in which they are not."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from apograph.behaviour.records import content_hash
from apograph.findings import Refusal
from tests.behaviour.write import jsonl, read_file


def refused(path: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        list(read_file(path))
    return caught.value


def test_normal_form(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        [
            {"item": "q1", "item_hash": "ab", "prompt_hash": "p", "raw": "Paris", "key": "Rome", "model": "m",
             "seed": 3, "logprobs": {"Paris": -0.5, "Rome": -2.0, "Oslo": -9}, "sigma": 0.1},
            {"item": 2, "prompt": "Where?", "options": ["x", "y"], "raw": None, "state": "refusal"},
        ],
    )  # fmt: skip
    first, second = read_file(path)
    assert (first.identity, first.item, first.answer, first.key) == ("h:ab", "q1", "Paris", "Rome")
    assert (first.prompt_hash, first.sample, first.margin, first.sigma) == ("p", "3", 1.5, 0.1)
    assert second.identity == "h:" + content_hash("Where?", ["x", "y"], (), "2")
    assert (second.answer, second.state, second.options) == (None, "refusal", 2)


def test_content_is_hashed_in_one_unicode_form() -> None:
    assert content_hash("cafe\u0301") == content_hash("café") != content_hash("cafe")
    assert content_hash("a", ["b"]) != content_hash("a", (), ["b"])


def test_csv_tsv_and_bom(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfid,question,answer,prediction\r\n1,"a, ""b""\n?",x,y\r\n')
    (record,) = read_file(tmp_path / "a.csv")
    assert (record.item, record.answer, record.key) == ("1", "y", "x")
    assert record.identity == "h:" + content_hash('a, "b"\n?', (), (), "1")
    (tmp_path / "a.tsv").write_text("item\traw\nq\ta,b\n")
    assert [r.answer for r in read_file(tmp_path / "a.tsv")] == ["a,b"]


def test_vlmevalkit_table_in_three_forms(tmp_path: Path) -> None:
    header = ["index", "question", "A", "B", "C", "answer", "prediction"]
    row = ["7", "Which?", "cat", "dog", "", "B", "B. dog"]
    (tmp_path / "a.tsv").write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")
    workbook(tmp_path / "a.xlsx", [header, row])
    (one,), (two,) = read_file(tmp_path / "a.tsv"), read_file(tmp_path / "a.xlsx")
    assert one == two
    assert (one.item, one.answer, one.key, one.options) == ("7", "B. dog", "B", 2)


def workbook(path: Path, rows: list[list[str]], prolog: str = "") -> None:
    shared = sorted({cell for row in rows for cell in row})
    cells = "".join(
        "<row>"
        + "".join(
            f'<c r="{chr(65 + n)}{r}" t="s"><v>{shared.index(cell)}</v></c>'
            for n, cell in enumerate(row)
            if cell
        )
        + "</row>"
        for r, row in enumerate(rows, 1)
    )
    strings = "".join(
        f"<si><r><t>{s[:2]}</t></r><rPh><t>no</t></rPh><r><t>{s[2:]}</t></r></si>" for s in shared
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sharedStrings.xml", f"{prolog}<sst>{strings}</sst>")
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet><sheetData>{cells}</sheetData></worksheet>")


def test_workbooks_with_a_document_type_or_a_bomb_are_refused(tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx", [["index", "prediction"], ["1", "A"]], '<!DOCTYPE x [<!ENTITY e "v">]>')
    assert refused(tmp_path / "a.xlsx").message.key == "readers.answers.xlsx"
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b" " * (4 << 20))
    assert refused(tmp_path / "b.xlsx").code == 5
    (tmp_path / "c.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    assert refused(tmp_path / "c.xlsx").code == 2


def test_harness_samples(tmp_path: Path) -> None:
    base = {"doc_id": 0, "doc": {"q": "1+1"}, "arguments": {"gen_args_0": {"arg_0": "Q: 1+1", "arg_1": {}}}}
    path = jsonl(
        tmp_path / "s.jsonl",
        [
            {**base, "target": "2", "resps": [["So 2."]], "filtered_resps": ["2"], "filter": "strict",
             "doc_hash": "d0", "prompt_hash": "p0"},
            {**base, "target": "2", "resps": [["So 2."]], "filtered_resps": ["x"], "filter": "flexible",
             "doc_hash": "d0", "prompt_hash": "p0"},
        ],
    )  # fmt: skip
    (record,) = read_file(path)
    assert record[:5] == ("h:d0", "0", "2", "2", "p0")


def test_lmms_eval_samples_as_they_are_written_now(tmp_path: Path) -> None:
    """No task item, no arguments, no responses where a filter left them alone, one hash for all items."""
    nothing = hashlib.sha256(b"null").hexdigest()
    rows = [
        {"doc_id": n, "target": "['12 May', \"May's\"]", "filtered_resps": [said], "doc_hash": nothing,
         "prompt_hash": "p", "input": "What date?"}
        for n, said in enumerate(("May's", "June", "[invalid]"))
    ]  # fmt: skip
    rows[1]["resps"] = [["In June"]]
    found = list(read_file(jsonl(tmp_path / "s.jsonl", rows)))
    assert [(r.answer, r.key) for r in found] == [
        ("12 May", "12 May"),
        ("June", "12 May"),
        ("[invalid]", "12 May"),
    ]
    assert [r.identity for r in found] == ["h:" + content_hash("What date?", item=str(n)) for n in range(3)]
    for target in ("[not a list", "[1, 2]", "[" * 5000):
        rows[0]["target"] = target
        assert next(iter(read_file(jsonl(tmp_path / "s.jsonl", rows)))).key == target


def test_numbers_of_tables(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("item,raw,margin,sigma\nq,a,1.5,0.01\nr,a,,\n")
    assert [(r.margin, r.sigma) for r in read_file(table)] == [(1.5, 0.01), (None, None)]
    for wrong in ("x", "nan", "1e999"):
        table.write_text(f"item,raw,margin\nq,a,{wrong}\n")
        assert refused(table).message.key == "readers.answers.field"


def test_harness_likelihoods(tmp_path: Path) -> None:
    row = {
        "doc_id": 4,
        "doc": {"choices": ["a", "b", "c"]},
        "target": "c",
        "arguments": [["Q", " a"], ["Q", " b"], ["Q", " c"]],
        "resps": [[[-3.5, False]], [[-1.5, True]], [[-9.0, False]]],
        "filtered_resps": [["-3.5", "False"], ["-1.5", "True"], ["-9.0", "False"]],
    }
    (record,) = read_file(jsonl(tmp_path / "s.jsonl", [row]))
    assert (record.answer, record.key, record.margin, record.options) == ("1", "2", 2.0, 3)
    assert record.prompt_hash is not None


@pytest.mark.parametrize(
    ("content", "code", "key"),
    [
        (b"", 2, "readers.answers.empty"),
        (b"\n\n", 2, "readers.answers.empty"),
        (b"\x1f\x8b\x08rest", 2, "readers.answers.encoding"),
        ('{"item": "a"}'.encode("utf-16"), 2, "readers.answers.encoding"),
        (b'{"item": "q", "raw": "\xff"}\n', 2, "readers.json.encoding"),
        (b'{"item": "q", "raw": "a", "raw": "b"}\n', 2, "readers.json.duplicate"),
        (b'{"item": "q", "raw": "a", "margin": NaN}\n', 2, "readers.json.number"),
        (b'{"item": "q", "raw": "a", "margin": 1e999}\n', 2, "readers.json.number"),
        (b'{"item": "q", "raw": ' + b"[" * 5000 + b"]" * 5000 + b"}\n", 2, "readers.json.depth"),
        (b'{"item": "q", "raw": "' + b"a" * (1 << 20) + b'"}\n', 5, "readers.answers.limit"),
        (b'{"item": "q", "raw": "a"} {}\n', 2, "readers.json.syntax"),
        (b'["item", "raw"]\n', 2, "readers.answers.row"),
        (b'{"item": "q"}\n', 2, "readers.answers.fields"),
        (b'{"raw": "a"}\n', 2, "readers.answers.fields"),
        (b'{"item": "q", "raw": "a"}\n{"item": "r", "raw": ["a"]}\n', 2, "readers.answers.field"),
        (b'{"item": "q", "raw": "a"}\n{"raw": "a"}\n', 2, "readers.answers.field"),
        (b'{"item": "q", "raw": "a", "state": "odd"}\n', 2, "readers.answers.field"),
        (b'{"item": "q", "raw": "a", "state": ["x"]}\n', 2, "readers.answers.field"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, content: bytes, code: int, key: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    refusal = refused(tmp_path / "a.jsonl")
    assert (refusal.code, refusal.message.key) == (code, key)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"item,raw,raw\n1,a,b\n", "readers.answers.columns"),
        (b"item,raw\n1,a,b\n", "readers.answers.width"),
        (b"item,raw\n1,\xff\n", "readers.answers.encoding"),
        (b'item,raw\n1,"' + b"a\n" * 600_000, "readers.answers.table"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, content: bytes, key: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert refused(tmp_path / "a.csv").message.key == key


def test_lone_surrogates_do_not_fail_later(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"item": "q", "raw": "\\ud800"}\n')
    (record,) = read_file(tmp_path / "a.jsonl")
    assert json.dumps(record.answer).isascii()
    assert record.answer is not None
    record.answer.encode("utf-8")


def test_folders_and_absent_files(tmp_path: Path) -> None:
    assert refused(tmp_path).code == 2
    absent = refused(tmp_path / "none")
    assert (absent.message.key, absent.code) == ("readers.answers.open", 4)


def test_colons_in_texts_and_nested_objects_read_the_same(tmp_path: Path) -> None:
    rows = [
        {"item": "a", "raw": "x: y: z", "decoding": {"temperature": 0}},
        {"item": "b", "raw": 'quote " and \\ and {braces}: []'},
    ]
    assert [r.answer for r in read_file(jsonl(tmp_path / "a.jsonl", rows))] == [row["raw"] for row in rows]


def test_the_single_file_of_old_lmms_eval(tmp_path: Path) -> None:
    """Indented JSON with the samples under "logs"; the task's arguments stand beside them."""
    logs = [
        {"doc_id": n, "target": "a", "doc": {"q": n}, "arguments": ["ask", {"until": []}],
         "resps": [["a b"]], "filtered_resps": ["a"]}
        for n in range(3)
    ]  # fmt: skip
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"args": {"model": "m"}, "logs": logs}, indent=4))
    found = list(read_file(path))
    assert [(r.item, r.answer, r.key) for r in found] == [("0", "a", "a"), ("1", "a", "a"), ("2", "a", "a")]
    assert len({r.identity for r in found}) == 3
    for wrong in ({"args": 1}, {"logs": {}}, {"logs": [1]}):
        path.write_text(json.dumps(wrong, indent=4))
        assert refused(path).code == 2
    path.write_text('{\n "logs": [\n')
    assert refused(path).code == 2
