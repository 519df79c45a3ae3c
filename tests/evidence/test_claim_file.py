"""The file of claims: strict, bounded, one line for every mistake."""

from pathlib import Path
from typing import Any

import pytest

from apograph.evidence.claim_file import read_claims
from apograph.findings import Refusal
from apograph.report.words import text

GOOD = """
[[claim]]
property = "num_layers"
value = 32
where = "README.md"
date = 2024-05-28

[[claim]]
property = "training_cost"
value = { usd = 500, tokens = 1e9 }
where = "announcement"
side = "reference"
part = "language"
"""


def write(folder: Path, content: str | bytes, name: str = "claims.toml") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_toml_and_json_give_the_same(tmp_path: Path) -> None:
    expected: tuple[dict[str, Any], ...] = (
        {"property": "num_layers", "value": 32, "where": "README.md", "date": "2024-05-28",
         "side": "candidate"},
        {
            "property": "training_cost", "value": {"usd": 500, "tokens": 1e9}, "where": "announcement",
            "side": "reference", "part": "language",
        },
    )  # fmt: skip
    assert read_claims(write(tmp_path, GOOD)) == expected
    json = """{"claim": [{"property": "num_layers", "value": 32, "where": "README.md", "date": "2024-05-28"},
    {"property": "training_cost", "value": {"usd": 500, "tokens": 1e9}, "where": "announcement",
     "side": "reference", "part": "language"}]}"""
    assert read_claims(write(tmp_path, json, "claims.json")) == expected


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("not toml", "syntax"),
        (b"\xff\xfe", "syntax"),
        ("x = 1", "shape"),
        ("claim = 3", "shape"),
        ("claim = [3]", "shape"),
        (GOOD.replace("where =", "were =", 1), "field"),
        (GOOD.replace('where = "README.md"', ""), "missing"),
        (GOOD.replace("num_layers", "beauty"), "property"),
        (GOOD.replace("32", '"32"'), "value"),
        (GOOD.replace("32", "true"), "value"),
        (GOOD.replace("32", "32.5"), "value"),
        (GOOD.replace("usd", "eur"), "value"),
        (GOOD.replace("500", "-1"), "value"),
        (GOOD.replace('side = "reference"', 'side = "accused"'), "value"),
        (GOOD.replace("2024-05-28", '"yesterday"'), "value"),
        (GOOD.replace('part = "language"', "part = 3"), "value"),
        ("[[claim]]\n" * 501, "many"),
        ("#" * (1 << 20) + "\n", "large"),
        ('[[claim]]\nproperty = "attention_type"\nvalue = "mixed"\nwhere = "x"', "value"),
        ('[[claim]]\nproperty = "released_on"\nvalue = "soon"\nwhere = "x"', "value"),
    ],
)
def test_every_mistake_has_its_line(tmp_path: Path, content: str | bytes, key: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_claims(write(tmp_path, content))
    assert (refused.value.code, refused.value.message.key) == (4, f"claims.file.{key}")
    assert text(refused.value.message)


@pytest.mark.parametrize("content", ['{"claim": [NaN]}', "[" * 100_000, '{"claim": [1e999]}', "{"])
def test_json_that_is_none(tmp_path: Path, content: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_claims(write(tmp_path, content, "claims.json"))
    assert refused.value.code == 4


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        read_claims(str(tmp_path / "absent.toml"))
    assert (refused.value.code, refused.value.message.key) == (2, "claims.file.unreadable")
