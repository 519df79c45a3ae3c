"""A pointer is a pointer only when every byte of it is one."""

import pytest

from apograph.release.lfs import parse_pointer
from tests.release.repos import pointer

SHA = "0123456789abcdef" * 4


def test_a_pointer_names_digest_and_size() -> None:
    assert parse_pointer(pointer(SHA, 42)) == (SHA, 42)
    assert parse_pointer(pointer(SHA, 42).rstrip(b"\n")) == (SHA, 42)


def test_extensions_stand_before_the_oid() -> None:
    text = pointer(SHA, 1).replace(b"oid", b"ext-0-foo sha256:" + SHA.encode() + b"\noid")
    assert parse_pointer(text) == (SHA, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        pointer(SHA.upper()),
        pointer(SHA[:-1]),
        pointer(SHA, -1),
        pointer(SHA) + b"more\n",
        b" " + pointer(SHA),
        pointer(SHA).replace(b"\n", b"\r\n"),
        pointer(SHA).replace(b"git-lfs.github.com", b"example.org"),
        pointer(SHA).replace(b"size", b"size 1\nsize"),
        pointer(SHA) + b"\n" * 1024,
    ],
)
def test_anything_else_is_not(data: bytes) -> None:
    assert parse_pointer(data) is None
