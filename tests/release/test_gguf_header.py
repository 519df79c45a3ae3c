import io
import struct
from itertools import pairwise
from pathlib import Path

import gguf as library
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.findings import Refusal
from apograph.release.gguf_header import read_header, short_metadata
from tests.release.gguf_files import array, gguf, pair, string, tensor
from tests.release.refusals import refused

U32 = struct.Struct("<I").pack
TWO_F32 = (tensor("a", (4, 2), 0, 0), tensor("b", (8,), 0, 32))


def read(data: bytes):
    return read_header(io.BytesIO(data), len(data), "m.gguf")


def nested(depth: int) -> bytes:
    return b"".join(array(9, 1) for _ in range(depth)) + array(0, 1, b"\1")


def alignment(value: bytes, kind: int = 4) -> tuple[bytes, ...]:
    return (pair("general.alignment", kind, value),)


@pytest.mark.parametrize(
    ("data", "key", "code"),
    [
        (b"", "gguf.magic", 2),
        (b"GGML" + b"\0" * 40, "gguf.magic", 2),
        (gguf((pair("k", 9, array(0, 10**12)),)), "gguf.count", 2),
        (gguf((pair("k", 9, array(8, 10**12)),)), "gguf.count", 2),
        (gguf(counts=(0, (1 << 64) - 1)), "gguf.count", 2),
        (gguf(counts=((1 << 64) - 1, 0)), "gguf.count", 2),
        (gguf(counts=(0, 10**9)), "gguf.count", 2),
        (gguf((pair("k", 8, struct.pack("<Q", (1 << 64) - 1)),)), "gguf.count", 2),
        (gguf((pair("k", 8, struct.pack("<Q", 1 << 40)),)), "gguf.count", 2),
        (gguf((pair("k", 9, nested(20_000)),)), "gguf.depth", 2),
        (gguf((pair("k", 9, nested(4)),)), "gguf.depth", 2),
        (gguf(version=0), "gguf.version", 2),
        (gguf(version=1), "gguf.version", 2),
        (gguf(version=99), "gguf.version", 2),
        (gguf(version=3 << 24), "gguf.big-endian", 2),
        (gguf(alignment(U32(0))), "gguf.alignment", 2),
        (gguf(alignment(U32(13))), "gguf.alignment", 2),
        (gguf(alignment(b"\x20\0\0\0\0\0\0\0", 10)), "gguf.alignment", 2),
        (gguf((pair("k", 99, b"1234"),)), "gguf.kind", 2),
        (gguf((pair("k", 9, array(99, 0)),)), "gguf.kind", 2),
        (gguf((), (string("a") + U32((1 << 32) - 1) + b"\0" * 64,)), "gguf.dims", 2),
        (gguf((), (tensor("a", (4,), 250, 0),), b"\0" * 32), "tensors.dtype", 2),
        (gguf((), (tensor("a", (4,), 4, 0),), b"\0" * 32), "tensors.dtype", 2),
        (gguf((), (tensor("a", (1 << 32, 1 << 32), 0, 0),)), "tensors.size", 2),
        (gguf((), (tensor("a", (1 << 62,), 0, 0),)), "tensors.outside", 2),
        (gguf((), (tensor("a", (8,), 0, 32),), b"\0" * 32), "tensors.outside", 2),
        (gguf((), (tensor("a", (8,), 0, 8),), b"\0" * 64), "gguf.unaligned", 2),
        (gguf((), (tensor("a", (16,), 0, 0), tensor("b", (8,), 0, 32)), b"\0" * 64), "tensors.overlap", 2),
        (gguf((), (tensor("a", (8,), 0, 0), tensor("b", (8,), 0, 96)), b"\0" * 128), "tensors.undeclared", 2),
        (gguf((), (tensor("a", (8,), 0, 0),), b"\0" * 33), "tensors.undeclared", 2),
        (gguf((pair("k", 0, b"1"), pair("k", 0, b"1"))), "gguf.duplicate-key", 2),
        (
            gguf((), (tensor("a", (8,), 0, 0), tensor("a", (8,), 0, 32)), b"\0" * 64),
            "gguf.duplicate-tensor",
            2,
        ),
        (gguf((), (tensor("a", (33,), 8, 0),), b"\0" * 64), "tensors.size", 2),
        (gguf((pair(b"\xff", 0, b"1"),)), "gguf.encoding", 2),
        (
            gguf((), (tensor("a", (0x7FFFFFFFFFFFFFC0,), 24, 0), tensor("b", (0x7FFFFFFFFFFFFFC0,), 24, 0))),
            "tensors.outside",
            2,
        ),
        (gguf((pair("k", 9, array(0, 2_000_001, b"\0" * 2_000_001)),)), "gguf.elements", 5),
        (gguf((pair("k", 8, string("x" * (17 << 20))),)), "gguf.string", 5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses(data, key, code):
    refusal = refused(lambda: read(data))
    assert (refusal.message.key, refusal.code) == (f"readers.{key}", code)


def test_every_truncation_is_refused():
    whole = gguf(
        (pair("a", 9, array(8, 2, string("x") + string("yz"))), pair("b", 4, U32(7))), TWO_F32, b"\1" * 64
    )
    assert len(read(whole).entries) == 2
    for n in range(len(whole)):
        refused(lambda n=n: read(whole[:n]))


@pytest.mark.parametrize("version", [2, 3])
def test_reads_names_shapes_offsets_and_values(version):
    pairs = (
        pair("s", 8, string("é")),
        pair("n", 12, struct.pack("<d", float("nan"))),
        pair("t", 7, b"\2"),
        pair("i", 5, struct.pack("<i", -3)),
        pair("long", 9, array(4, 65, U32(1) * 65)),
    )
    data = gguf(pairs, TWO_F32, b"\1" * 64, version=version)
    found = read(data)
    start = len(data) - 64
    assert [(e.name, e.shape, e.dtype, e.start, e.stop) for e in found.entries] == [
        ("a", (2, 4), "F32", start, start + 32),
        ("b", (8,), "F32", start + 32, start + 64),
    ]
    assert found.metadata["long"] == [1] * 65
    assert short_metadata(found.metadata) == {"s": "é", "n": "nan", "t": True, "i": -3}


def test_a_zero_dimension_is_empty_and_a_long_name_is_kept():
    found = read(gguf((), (tensor("x" * 5000, (0, 1 << 60), 0, 0),)))
    assert found.entries[0].shape == (1 << 60, 0)
    assert len(found.entries[0].name) == 5000


def test_a_chat_template_stays_a_string():
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    assert read(gguf((pair("tokenizer.chat_template", 8, string(template)),))).metadata == {
        "tokenizer.chat_template": template
    }


def test_agrees_with_gguf_py(tmp_path: Path):
    writer = library.GGUFWriter(tmp_path / "w.gguf", "llama")
    writer.add_string("note", "x" * 100)
    writer.add_array("list", ["a", "b"])
    rng = np.random.default_rng(3)
    for name, shape in (("a.weight", (6, 32)), ("b.bias", (5,)), ("c", (2, 3, 64))):
        writer.add_tensor(name, rng.standard_normal(shape, np.float32))
    values = rng.standard_normal((4, 64), np.float32)
    packed = library.quants.quantize(values, library.GGMLQuantizationType.Q8_0)
    writer.add_tensor("q", packed, raw_dtype=library.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    data = (tmp_path / "w.gguf").read_bytes()
    found = read(data)
    theirs = library.GGUFReader(tmp_path / "w.gguf").tensors
    assert [(e.name, e.shape, e.dtype, e.start, (e.stop or 0) - (e.start or 0)) for e in found.entries] == [
        (t.name, tuple(map(int, t.shape[::-1])), t.tensor_type.name, t.data_offset, t.n_bytes) for t in theirs
    ]
    assert found.metadata["list"] == ["a", "b"]


@settings(max_examples=400)
@given(st.data())
def test_noise_is_refused_or_tiles_the_file(draws):
    data = bytearray(gguf((pair("a", 9, array(4, 2, U32(1) * 2)),), TWO_F32, b"\1" * 64))
    for _ in range(draws.draw(st.integers(1, 3))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    try:
        found = read(bytes(data))
    except Refusal:
        return
    spans = sorted((e.start, e.stop) for e in found.entries)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert not spans or spans[-1][1] <= len(data)
