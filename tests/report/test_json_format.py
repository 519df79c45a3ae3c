"""A saved report comes back as it was, and nothing else is read as a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph import plain
from apograph.findings import Refusal
from apograph.report import json_format
from apograph.report.json_format import HASH, content_hash, dumps, loads
from apograph.report.schema import schema
from tests.report.sample import report

VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_report_comes_back(poisoned: bool) -> None:
    data = dumps(report(poisoned))
    assert dumps(loads(data)) == data
    assert data.isascii()
    if not poisoned:
        assert plain.dump(loads(data)) == plain.dump(report())


def test_equal_reports_have_equal_bytes() -> None:
    assert dumps(report()) == dumps(report())


@pytest.mark.parametrize("poisoned", [False, True])
def test_real_reports_fit_the_schema(poisoned: bool) -> None:
    VALIDATOR.validate(json.loads(dumps(report(poisoned))))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_hash_is_over_canonical_json() -> None:
    assert content_hash({"b": 1, "a": "é", HASH: "x"}) == (
        # printf '{"a":"\\u00e9","b":1}' | sha256sum
        "6d9eb45284090145dc16661b06abe01185a16a7dabba07c992a131bffa6b8114"
    )


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *way, last = path.split(".")
        place: Any = content
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value

    return change


CHANGES = [
    _set("surplus", 1),
    _set("tool", None),
    _set("findings.0.bearing", "certain"),
    _set("findings.0.measures.0.interval", [1.0]),
    _set("findings.0.measures.0.value", []),
    _set("findings.0.surplus", {}),
    _set("releases.0.files", "47"),
    _set("releases.0.files", True),
    _set("conclusion.relation", "certain"),
    _set("conclusion.direction_basis", 3),
    _set("settings.only", [1]),
    _set("arguments", "compare"),
    lambda content: content["findings"][0].pop("arrow"),
    lambda content: content.pop("conclusion"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_types_and_schema_refuse_alike(change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(dumps(report()))
    change(content)
    content[HASH] = content_hash(content)
    assert not VALIDATOR.is_valid(content)
    with pytest.raises(Refusal) as refused:
        loads(json.dumps(content).encode())
    assert (refused.value.code, refused.value.message.key) == (2, "report.refused.shape")


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "readers.json.syntax"),
        (b"[]", "report.refused.none"),
        (b"{}", "report.refused.none"),
        (b'{"a": NaN}', "readers.json.number"),
        (b"[" * 200_000, "readers.json.depth"),
        (b'{"content_sha256": "", "schema_version": "99"}', "report.refused.version"),
        (b'{"content_sha256": "", "schema_version": "1"}', "report.refused.hash"),
        (b'{"content_sha256": "", "content_sha256": ""}', "readers.json.duplicate"),
    ],
)
def test_other_files_are_refused(data: bytes, key: str) -> None:
    with pytest.raises(Refusal) as refused:
        loads(data, "r.json")
    assert (refused.value.code, refused.value.message.key, refused.value.path) == (2, key, "r.json")


def test_one_changed_letter_is_noticed() -> None:
    data = dumps(report()).replace(b"silu", b"gelu", 1)
    with pytest.raises(Refusal) as refused:
        loads(data)
    assert refused.value.message.key == "report.refused.hash"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        loads(data)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        json_format.read(tmp_path / "none.json")
    assert refused.value.code == 4
