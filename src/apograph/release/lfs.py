"""Git-LFS pointers: small text files that stand where a large file's content is not stored."""

from __future__ import annotations

import re

LARGEST = 1024
"""A pointer is shorter than this (git-lfs, docs/spec.md)."""
_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\n"
    rb"(?:ext-[0-9]-[a-z0-9.-]+ sha256:[0-9a-f]{64}\n){0,9}"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size ([0-9]{1,18})\n?"
)


def parse_pointer(data: bytes) -> tuple[str, int] | None:
    """SHA-256 (hex) and size of the real content; None when ``data`` is not exactly a pointer."""
    match = _POINTER.fullmatch(data) if len(data) < LARGEST else None
    return (match[1].decode("ascii"), int(match[2])) if match else None
