"""JSON from outside, read strictly: one meaning per file, bounded work, nothing that fails later.

The standard library's scanner does the reading; what it lets pass is refused here: duplicate keys (another
reader may take the other value), NaN and Infinity, numbers beyond a double or of absurd length, deep nesting,
a byte order mark, any encoding but UTF-8 (RFC 8259, sections 4, 6 and 8.1).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from apograph.findings import Json
from apograph.release.refuse import refuse

MAX_BYTES = 64 << 20
MAX_DEPTH = 100
MAX_ITEMS = 4_000_000
MAX_DIGITS = 64
MAX_SEARCHED = 1 << 20  # larger files are not scanned again for the place of a duplicate

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(_STRING + rb"|[\[\]{},:]", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89abcdefABCDEF]")
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse_json(data: bytes, path: str = "", limit: int = MAX_BYTES) -> Json:
    """The value that ``data`` holds. Lone surrogates become the six characters of their escape (``\\ud800``).

    Raises Refusal 2 for anything but strict UTF-8 JSON with unique keys, finite numbers and at most 100
    levels; Refusal 5 for more than ``limit`` bytes or four million values. ``path`` only names the file.
    """
    if len(data) > limit:
        raise refuse("json.size", path, code=5, limit=limit)
    if data.startswith(b"\xef\xbb\xbf"):
        raise refuse("json.bom", path, 0)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse("json.encoding", path, error.start) from None
    _check_structure(data, path)
    hooks = _Hooks(data, path)
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=hooks.pairs,
            parse_constant=hooks.constant,
            parse_int=hooks.integer if _LONG_NUMBER.search(data) else None,
            parse_float=hooks.real,
        )
    except json.JSONDecodeError as error:
        raise refuse("json.syntax", path, len(text[: error.pos].encode())) from None
    except RecursionError:
        raise refuse("json.depth", path, limit=MAX_DEPTH) from None
    if _SURROGATE.search(data):
        value = _without_surrogates(value, hooks.unique)
    return value


def _check_structure(data: bytes, path: str) -> None:
    brackets = data.count(b"[") + data.count(b"{")
    if brackets + data.count(b",") > MAX_ITEMS:
        raise refuse("json.items", path, code=5, limit=MAX_ITEMS)
    if brackets <= MAX_DEPTH:
        return
    # Escapes go first, so that every quotation mark left opens or closes a string.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE)
    skeleton = re.sub(rb'"[^"]*"', b"", plain).replace(b'"', b"")
    if max(accumulate(map(_STEP.__getitem__, skeleton)), default=0) > MAX_DEPTH:
        raise refuse("json.depth", path, limit=MAX_DEPTH)


class _Hooks:
    """What the scanner calls for objects and numbers of one file."""

    def __init__(self, data: bytes, path: str) -> None:
        self._data = data
        self._path = path

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            small = len(self._data) <= MAX_SEARCHED
            key, offset = _first_duplicate(self._data) if small else (_twice(pairs), None)
            raise refuse("json.duplicate", self._path, offset, key=key)
        return found

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """For keys that become equal only when their surrogates are escaped: no offset."""
        found = dict(pairs)
        if len(found) != len(pairs):
            raise refuse("json.duplicate", self._path, key=_twice(pairs))
        return found

    def constant(self, name: str) -> Any:
        raise refuse("json.number", self._path, number=name)

    def integer(self, digits: str) -> int:
        """Asked only when the file holds a long run of digits: a call per number is slow."""
        if len(digits) > MAX_DIGITS:
            raise refuse("json.number", self._path, number=digits[:20] + "…")
        return int(digits)

    def real(self, digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise refuse("json.number", self._path, number=digits)
        return value


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """The first key that repeats one before it."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _first_duplicate(data: bytes) -> tuple[str, int | None]:
    """The first key that stands twice in one object, and the byte offset where it stands again."""
    scopes: list[set[str]] = []
    last: re.Match[bytes] | None = None
    for token in _TOKEN.finditer(data):
        mark = token[0]
        if mark in b"[{":
            scopes.append(set())
        elif mark in b"]}" and scopes:
            scopes.pop()
        elif mark == b":" and last is not None and scopes:
            key = str(json.loads(last[0]))
            if key in scopes[-1]:
                return key, last.start()
            scopes[-1].add(key)
        last = token if mark[:1] == b'"' else None
    return "", None


def _without_surrogates(value: Any, unique: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> Any:
    """``value`` with lone surrogates written out; at most MAX_DEPTH levels deep, so recursion is safe."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_without_surrogates(item, unique) for item in value]
    if isinstance(value, dict):
        return unique(
            [(_without_surrogates(k, unique), _without_surrogates(v, unique)) for k, v in value.items()]
        )
    return value
