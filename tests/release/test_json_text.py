import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.release.json_text import MAX_DEPTH, MAX_ITEMS, parse_json
from tests.release.refusals import refused

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)  # fmt: skip


@given(values, st.booleans())
def test_reads_what_json_writes(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text.encode()) == value


@pytest.mark.parametrize(
    ("data", "key", "code", "offset"),
    [
        (b'{"a": 1, "b": {"w": 1, "w": 2}}', "duplicate", 2, 23),
        (b'{"w": {"w": 1}, "\\u0077": 2}', "duplicate", 2, 16),
        (b'{"\\ud800": 1, "\\\\ud800": 2}', "duplicate", 2, None),
        (b"[NaN]", "number", 2, None),
        (b"[-Infinity]", "number", 2, None),
        (b"[1e999]", "number", 2, None),
        (b"1" * 5000, "number", 2, None),
        (b"[" * 200_000, "depth", 2, None),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "depth", 2, None),
        (b'{"a":' * 200_000, "depth", 2, None),
        (b"[" + b"0," * MAX_ITEMS + b"0]", "items", 5, None),
        (b"\xef\xbb\xbf{}", "bom", 2, 0),
        (b'{"a": "\xff"}', "encoding", 2, 7),
        ('{"a": 1}'.encode("utf-16"), "encoding", 2, 0),
        ('{"é": 1'.encode(), "syntax", 2, 8),
        (b"{} x", "syntax", 2, 3),
        (b"", "syntax", 2, 0),
        (b'"\x01"', "syntax", 2, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses(data, key, code, offset):
    refusal = refused(lambda: parse_json(data, "x.json"))
    assert (refusal.message.key, refusal.code, refusal.path) == (f"readers.json.{key}", code, "x.json")
    assert refusal.offset == offset


def test_depth_counts_brackets_outside_strings_only():
    text = "[" * MAX_DEPTH + json.dumps('[[["\\' * 400) + "]" * MAX_DEPTH
    assert parse_json(text.encode())


def test_the_place_of_a_duplicate_is_not_sought_in_a_large_file():
    refusal = refused(lambda: parse_json(b'{"a": 1, "a": "' + b"x" * (1 << 20) + b'"}'))
    assert (refusal.message.params["key"], refusal.offset) == ("a", None)


def test_size_is_capped():
    assert refused(lambda: parse_json(b"[1, 2, 3]", limit=8)).code == 5


def test_lone_surrogates_become_their_escape():
    value = parse_json(b'{"a\\ud800": ["\\udfff", "\\ud83d\\ude00"]}')
    assert value == {"a\\ud800": ["\\udfff", "😀"]}
    json.dumps(value, ensure_ascii=False).encode()
