import json

import pytest

from apograph.release.tensor_index import join_shards, read_index
from apograph.release.types import TensorInfo
from apograph.report.words import text
from tests.release.refusals import refused


def index(weight_map, **metadata):
    return json.dumps({"metadata": metadata, "weight_map": weight_map}).encode()


def info(name, file, start=0, stop=4):
    return TensorInfo(name, (1,), "F32", file, start, stop)


def test_reads_in_order_with_shards_beside_the_index():
    found = read_index(index({"b": "x-1", "a": "sub/x-2"}, total_size=8.0, format="pt"), "m/i.json")
    assert [(e.name, e.file, e.shape) for e in found.entries] == [
        ("b", "m/x-1", None),
        ("a", "m/sub/x-2", None),
    ]
    assert (found.source, found.total_size, found.metadata["format"]) == ("index", 8, "pt")


@pytest.mark.parametrize(
    "shard",
    ["../x", "/etc/passwd", "https://h/x", "a/../x", "a\\x", "", ".", "a//b", "C:x", "a\0b", "./x", "a/"],
)
def test_refuses_shards_outside(shard):
    refusal = refused(lambda: read_index(index({"w": shard}), "i.json"))
    assert (refusal.message.key, refusal.code) == ("readers.index.escape", 2)


@pytest.mark.parametrize(
    ("data", "key", "code"),
    [
        (b"[]", "index.form", 2),
        (b"{}", "index.form", 2),
        (b'{"weight_map": {"a": 1}}', "index.form", 2),
        (b'{"weight_map": {"a": "x"}, "metadata": 3}', "index.form", 2),
        (b'{"weight_map": {"a": "x", "a": "y"}}', "json.duplicate", 2),
        (index({"a": "x"}, total_size="8"), "index.total", 2),
        (index({"a": "x"}, total_size=-8), "index.total", 2),
        (index({"a": "x"}, total_size=True), "index.total", 2),
        (index({str(i): f"{i}" for i in range(100_001)}), "index.many", 5),
    ],
)
def test_refuses(data, key, code):
    refusal = refused(lambda: read_index(data, "i.json"))
    assert (refusal.message.key, refusal.code) == (f"readers.{key}", code)


def test_a_missing_shard_keeps_what_the_index_says():
    listed = read_index(index({"b": "s1", "a": "s2"}), "i.json")
    joined, faults = join_shards({"s1": [info("b", "s1")]}, listed)
    assert [(e.name, e.shape) for e in joined.entries] == [("b", (1,)), ("a", None)]
    assert (joined.source, joined.total_size, faults) == ("index", None, ())


def test_whole_shards_follow_the_index():
    listed = read_index(index({"b": "s1", "a": "s2"}, total_size=9), "i.json")
    joined, faults = join_shards({"s2": [info("a", "s2")], "s1": [info("b", "s1")]}, listed)
    assert [e.name for e in joined.entries] == ["b", "a"]
    assert (joined.source, joined.total_size, faults) == ("headers", 9, ())


def test_files_without_an_index_are_summed():
    joined, faults = join_shards({"s1": [info("a", "s1"), info("b", "s1", 4, 12)]})
    assert (joined.total_size, joined.source, joined.path, faults) == (12, "headers", "s1", ())


@pytest.mark.parametrize(
    ("weight_map", "shards", "key", "kept"),
    [
        ({"a": "s1"}, {"s1": ["a"], "s2": ["a"]}, "twice", "s1"),
        ({"a": "s2"}, {"s1": ["a"], "s2": ["a"]}, "twice", "s2"),
        ({"a": "s1"}, {"s1": [], "s2": ["a"]}, "not-there", "s2"),
        ({"a": "s1"}, {"s1": []}, "not-there", "s1"),
        ({"a": "s1"}, {"s1": ["a", "b"]}, "unlisted", "s1"),
    ],
)
def test_disagreements_are_faults(weight_map, shards, key, kept):
    listed = read_index(index(weight_map), "i.json")
    joined, faults = join_shards({f: [info(n, f) for n in names] for f, names in shards.items()}, listed)
    assert [f.reason.key for f in faults] == [f"readers.index.{key}"]
    assert all(f.fault and f.code == 2 and text(f.reason) for f in faults)
    assert joined.entries[0].file == kept
