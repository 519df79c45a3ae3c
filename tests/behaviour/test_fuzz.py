"""Whatever a file holds, reading ends in records or in one refusal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apograph.behaviour.actions import parse_actions
from apograph.behaviour.answers import prepare
from apograph.behaviour.canonical import KINDS, canonical
from apograph.behaviour.join import join
from apograph.behaviour.pairs import count_pair
from apograph.behaviour.simulate import copied, simulate
from apograph.findings import Finding, Refusal

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = """item id item_hash prompt question options images raw parsed answer key target seed logprobs margin
state doc_id doc doc_hash resps filtered_resps arguments input index prediction A B model sigma prompt_hash
content_hash"""
names = st.sampled_from(NAMES.split())
rows = st.lists(st.dictionaries(names, values, max_size=8), max_size=4)
quiet = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def joins(path: Path) -> None:
    """Alone, and with a file that it hardly meets, which tries every way of joining."""
    other = path.with_name("other.jsonl")
    other.write_text('{"item": "0", "prompt": "?", "raw": "a"}\n')
    for files in ([path], [other, path]):
        code = 2
        try:
            join(files)
        except Refusal as refusal:
            code = refusal.code
        assert code in (2, 5)


@quiet
@given(rows)
def test_any_objects(tmp_path: Path, found: list[dict[str, Any]]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    joins(path)


@quiet
@given(st.binary(max_size=300), st.sampled_from(("a.jsonl", "a.csv", "a.tsv")), st.booleans())
def test_any_bytes(tmp_path: Path, data: bytes, name: str, zipped: bool) -> None:
    path = tmp_path / name
    path.write_bytes((b"PK\x03\x04" if zipped else b"") + data)
    joins(path)


@quiet
@given(st.text(max_size=200), st.sampled_from(KINDS))
def test_any_answer_has_a_form(text: str, kind: Any) -> None:
    form = canonical(text, kind)
    assert isinstance(form, int) == (form in (-2, -3, -4))
    assert all(step.verb for step in parse_actions(text))


@pytest.mark.parametrize("seed", range(3))
def test_swapping_the_sides_swaps_the_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sheet = copied(rng, simulate(rng, 200, [0.5] * 8), 0, 1, 0.5)
    one, two = count_pair(sheet, 0, 1), count_pair(sheet, 1, 0)
    assert (one.first, one.second, one.identical) == (two.second, two.first, two.identical)
    told = [
        {f.id: f for f in prepare(sheet, a, 1 - a, range(2, 8)).findings() if isinstance(f, Finding)}
        for a in (0, 1)
    ]
    assert told[0].keys() == told[1].keys()
    first, second = (found["answers.overlap"].message.params for found in told)
    assert (first["a"], first["b"], first["s"]) == (second["b"], second["a"], second["s"])
    assert told[0]["answers.identical"].bearing is told[1]["answers.identical"].bearing
