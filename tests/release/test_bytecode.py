import importlib.util
import marshal
import struct
import sys
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.findings import Refusal
from apograph.release.bytecode import read_bytecode
from tests.release.refusals import refused

SOURCE = """
from minicpm import slicing as cut
LIMIT = 10**40, -7, 2.5, 1j, b"bytes", None, ..., True
class Resampler:
    "text of a class"
    def forward(self, pixel, *, mode="bilinear"):
        inner = [mode for mode in ("ü", "\\ud800", ("deep", frozenset({"set"})))]
        return lambda: (inner, pixel)
"""


def header(magic: int, flags: int = 0, mtime: int = 1716856168, size: int = 99) -> bytes:
    return struct.pack("<H2sIII", magic, b"\r\n", flags, mtime, size)


def this_python(source: str) -> bytes:
    code = compile(source, "/home/someone/x.py", "exec")
    return importlib.util.MAGIC_NUMBER + header(0)[4:] + marshal.dumps(code)


def walked(code: CodeType) -> tuple[set[str], set[str], set[str]]:
    """The slow reference reader: file names, names, strings."""
    local = {*code.co_varnames, *code.co_freevars, *code.co_cellvars}
    files, names, strings = (
        {code.co_filename},
        {code.co_name, code.co_qualname, *code.co_names, *local},
        set(),
    )

    def see(constant: object) -> None:
        if isinstance(constant, str):
            strings.add(constant.encode("utf-8", "backslashreplace").decode())
        elif isinstance(constant, (tuple, frozenset)):
            for item in constant:
                see(item)
        elif isinstance(constant, CodeType):
            for mine, theirs in zip((files, names, strings), walked(constant), strict=True):
                mine |= theirs

    for constant in code.co_consts:
        see(constant)
    return files, names, strings


@pytest.mark.skipif(
    not (3, 11) <= sys.version_info < (3, 14), reason="co_qualname is of 3.11, the limit is 3.13"
)
def test_agrees_with_marshal_on_our_own_code():
    found = read_bytecode(this_python(SOURCE))
    assert (set(found.filenames), set(found.names), set(found.strings)) == walked(
        compile(SOURCE, "/home/someone/x.py", "exec")
    )
    assert {"minicpm", "slicing", "cut", "pixel", "forward"} <= set(found.names)
    assert (found.source_mtime, found.source_size) == (1716856168, 99)


def text(value: str) -> bytes:
    return b"z" + bytes([len(value)]) + value.encode()


def tuple_of(*items: bytes) -> bytes:
    return b")" + bytes([len(items)]) + b"".join(items)


def code(
    numbers: int, groups: int, constants: bytes = b")\0", *, tables: int = 1, names_after: int = 1
) -> bytes:
    """A code object of ``numbers`` integers and ``groups`` tuples of names; their names tell their place."""
    lists = b"".join(tuple_of(text(f"names{i}")) for i in range(groups))
    after = b"".join(text(f"after{i}") for i in range(names_after))
    kinds = b"s\0\0\0\0" if tables == 2 else b""
    return (
        b"c" + b"\0" * 4 * numbers + b"s\0\0\0\0" + constants + lists + kinds + text("file.py") + after
        + b"\0" * 4 + b"s\0\0\0\0" * tables
    )  # fmt: skip


@pytest.mark.parametrize(
    ("magic", "version", "body"),
    [
        (3379, "3.6", code(5, 4, tuple_of(text("constant")))),
        (3394, "3.7", code(5, 4, tuple_of(text("constant")))),
        (3413, "3.8", code(6, 4, tuple_of(text("constant")))),
        (3425, "3.9", code(6, 4, tuple_of(text("constant")))),
        (3439, "3.10", code(6, 4, tuple_of(text("constant")))),
        (3495, "3.11", code(5, 2, tuple_of(text("constant")), tables=2, names_after=2)),
        (3531, "3.12", code(5, 2, tuple_of(text("constant")), tables=2, names_after=2)),
        (3571, "3.13", code(5, 2, tuple_of(text("constant")), tables=2, names_after=2)),
    ],
)
def test_layout_of_every_version(magic, version, body):
    head = header(magic) if version != "3.6" else header(magic)[:4] + header(magic)[8:]
    found = read_bytecode(head + body)
    modern = version in ("3.11", "3.12", "3.13")
    names = ("names0", "names1") if modern else ("names0", "names1", "names2", "names3")
    assert found.python_version == version
    assert (found.filenames, found.strings) == (("file.py",), ("constant",))
    assert found.names == (*names, "after0", *(("after1",) if modern else ()))
    assert (found.source_mtime, found.source_size) == (1716856168, 99)


def test_a_hash_is_not_a_time():
    found = read_bytecode(header(3425, flags=3) + code(6, 4))
    assert (found.source_mtime, found.source_size) == (None, None)


LAUGHS = (
    b"\xa9\x01" + text("ha") + b"".join(b"\xa9\x02" + 2 * (b"r" + struct.pack("<I", i)) for i in range(60))
)
CYCLE = b"\xa9\x01r\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "key", "code_"),
    [
        (b"", "magic", 2),
        (header(3425)[:12], "magic", 2),
        (header(62211) + code(5, 4), "magic", 2),
        (header(3610) + code(5, 4), "magic", 2),
        (header(3425) + b"N", "malformed", 2),
        (header(3425) + b"q", "malformed", 2),
        (header(3425) + b"(\xff\xff\xff\x7f", "short", 2),
        (header(3425) + b"(\xff\xff\xff\xff", "short", 2),
        (header(3425) + b"s\xff\xff\xff\x7f", "short", 2),
        (header(3425) + b"l\0\0\0\x80", "short", 2),
        (header(3425) + b"r\x01\0\0\0", "malformed", 2),
        (header(3425) + b")\x01" * 200_000, "depth", 2),
        (header(3425) + b"(" + struct.pack("<I", 1_000_000) + b"N" * 1_000_000, "items", 5),
        (header(3425) + code(6, 4, b")\x3d" + LAUGHS), "items", 5),
        (header(3425) + code(6, 4, CYCLE), "malformed", 2),
        (header(3425) + code(6, 4)[:-20], "short", 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses(data, key, code_):
    refusal = refused(lambda: read_bytecode(data, "x.pyc"))
    assert (refusal.message.key, refusal.code) == (f"readers.bytecode.{key}", code_)


@given(st.data())
def test_noise_is_refused_or_read(draws):
    data = bytearray(header(3425) + code(6, 4, tuple_of(text("constant"), CYCLE, code(6, 4))))
    for _ in range(draws.draw(st.integers(1, 4))):
        data[draws.draw(st.integers(16, len(data) - 1))] = draws.draw(st.integers(0, 255))
    try:
        read_bytecode(bytes(data))
    except Refusal:
        return
