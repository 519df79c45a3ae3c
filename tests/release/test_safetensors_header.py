import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from apograph.findings import Refusal
from apograph.release.safetensors_header import MAX_HEADER, read_header
from tests.release.refusals import refused

safetensors = pytest.importorskip("safetensors", reason="the oracle of the differential test")
from safetensors.numpy import save  # noqa: E402


def packed(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="U8", shape=(4,), begin=0, end=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def read(data: bytes):
    return read_header(io.BytesIO(data), len(data), "m.safetensors")


def length_only(n: int) -> bytes:
    return struct.pack("<Q", n) + b"{}"


TWO = b'{"w": %s, "w": %s}' % (json.dumps(entry()).encode(), json.dumps(entry("F32", (1,))).encode())


@pytest.mark.parametrize(
    ("data", "key", "code"),
    [
        (b"", "safetensors.short", 2),
        (b"\0" * 7, "safetensors.short", 2),
        (length_only(1 << 63), "safetensors.length", 2),
        (length_only(100_000_001), "safetensors.length", 2),
        (length_only(1000), "safetensors.length", 2),
        (packed(b"{}" + b" " * MAX_HEADER), "safetensors.header-size", 5),
        (packed({f"{i}": entry(shape=(0,), end=0) for i in range(200_001)}), "tensors.many", 5),
        (packed({"w": entry("F32", (1 << 62, 1 << 62, 4))}, b"1234"), "tensors.size", 2),
        (packed(TWO, b"1234"), "json.duplicate", 2),
        (packed(b' {"w":1}'), "safetensors.first", 2),
        (packed({"v": entry(), "w": entry(begin=2, end=6)}, b"123456"), "tensors.overlap", 2),
        (packed({"w": entry(begin=2, end=6)}, b"123456"), "tensors.undeclared", 2),
        (packed({"v": entry(), "w": entry(begin=6, end=10)}, b"0123456789"), "tensors.undeclared", 2),
        (packed({"w": entry()}, b"123456789"), "tensors.undeclared", 2),
        (packed({"w": entry(begin=-4, end=0)}), "safetensors.entry", 2),
        (packed({"w": entry(shape=(4.0,))}, b"1234"), "safetensors.entry", 2),
        (packed({"w": entry(shape=(True, 4))}, b"1234"), "safetensors.entry", 2),
        (packed({"w": entry(begin=4, end=0)}, b"1234"), "tensors.outside", 2),
        (packed({"w": entry(shape=(8,), end=8)}, b"1234"), "tensors.outside", 2),
        (packed({"w": entry("F32", (2,))}, b"1234"), "tensors.size", 2),
        (packed({"w": entry("F4", (3,), end=2)}, b"12"), "tensors.size", 2),
        (packed({"w": entry("X99")}, b"1234"), "tensors.dtype", 2),
        (packed({"__metadata__": {"a": 1}}), "safetensors.metadata", 2),
        (packed({"__metadata__": [1]}), "safetensors.metadata", 2),
        (packed({"w": [1]}), "safetensors.entry", 2),
        (packed(b'{"a":' + b"[" * 200_000), "json.depth", 2),
        (packed(b'{"\xff":1}'), "json.encoding", 2),
        (b"PK\x03\x04\x14\0\0\0\x08\0" + b"\0" * 40, "safetensors.other", 2),
        (b"GGUF\x03\0\0\0" + b"\0" * 40, "safetensors.other", 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses(data, key, code):
    refusal = refused(lambda: read(data))
    assert (refusal.message.key, refusal.code) == (f"readers.{key}", code)


def test_undeclared_bytes_are_counted_where_they_are():
    data = packed({"v": entry(), "w": entry(begin=7, end=11)}, b"0123456789a")
    refusal = refused(lambda: read(data))
    assert refusal.message.params["n"] == 3
    assert refusal.offset == len(data) - 7


def test_order_offsets_and_metadata():
    header = {"__metadata__": {"format": "pt"}, "b": entry("F16", (2, 1)), "a": entry("F4", (2, 2), 4, 6)}
    data = packed(header, b"123456")
    found = read(data)
    start = len(data) - 6
    assert [(e.name, e.shape, e.start, e.stop) for e in found.entries] == [
        ("b", (2, 1), start, start + 4),
        ("a", (2, 2), start + 4, start + 6),
    ]
    assert found.metadata == {"format": "pt"}


def test_an_empty_tensor_of_absurd_shape_is_empty():
    assert read(packed({"w": entry(shape=(0, 1 << 62), end=0)})).entries[0].shape == (0, 1 << 62)


@pytest.mark.parametrize("name", ["<script>", "../../etc/passwd", "\x1b[2J", "\u202e", ""])
def test_names_are_data(name):
    assert read(packed({name: entry()}, b"1234")).entries[0].name == name


arrays = st.dictionaries(
    st.text(max_size=8).filter(lambda n: n != "__metadata__"),
    npst.arrays(
        st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]),
        npst.array_shapes(min_dims=0, min_side=0, max_side=3),
    ),
    max_size=4,
)


@given(arrays)
def test_agrees_with_the_library(tensors):
    data = save(tensors)
    found = {e.name: e for e in read(data).entries}
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].shape == array.shape
        assert data[found[name].start : found[name].stop] == np.ascontiguousarray(array).tobytes()


@settings(max_examples=300)
@given(arrays, st.data())
def test_a_changed_byte_is_refused_or_read_by_the_library_too(tensors, draws):
    data = bytearray(save(tensors))
    data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    try:
        found = read(bytes(data))
    except Refusal:
        return  # ours may refuse what the library accepts (duplicate names, leading white space), never less
    parsed = safetensors.deserialize(bytes(data))
    assert sorted((name, tuple(e["shape"])) for name, e in parsed) == sorted(
        (e.name, e.shape) for e in found.entries
    )
