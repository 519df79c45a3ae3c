"""A report as JSON, from which everything else re-renders (schema: ``docs/report.schema.json``)."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import cast

from apograph import plain
from apograph.findings import Json, Message, Refusal, Report
from apograph.release.json_text import parse_json
from apograph.weigh.examine import SCHEMA_VERSION

HASH = "content_sha256"
LARGEST = 64 << 20
"""The largest saved report that is read, in bytes."""


def dumps(report: Report) -> bytes:
    """The report as ASCII JSON, the same bytes for equal reports, with the hash of its content as last field.

    Fields stand in the order of the types, mappings in their own; a lone surrogate becomes the six
    characters of its escape. Raises ValueError for values that JSON lacks.
    """
    content = cast(dict[str, Json], _encodable(plain.dump(report)))
    content[HASH] = content_hash(content)
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


def loads(data: bytes, path: str = "") -> Report:
    """The report that ``dumps`` wrote. ``path`` only names the file.

    Raises Refusal 2 for anything but strict JSON of the published schema whose hash fits its content.
    """
    content = parse_json(data, path, LARGEST)
    if not isinstance(content, dict) or HASH not in content:
        raise _refuse("none", path)
    if content.get("schema_version") != SCHEMA_VERSION:
        raise _refuse("version", path, version=str(content.get("schema_version"))[:20], known=SCHEMA_VERSION)
    if content.pop(HASH) != content_hash(content):
        raise _refuse("hash", path)
    try:
        return plain.load(Report, content)
    except ValueError as error:
        raise _refuse("shape", path, where=str(error)[:150]) from None


def read(path: Path) -> Report:
    """The report saved in a file. Raises Refusal 4 when the file cannot be opened, else as ``loads`` does."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise Refusal(4, Message("report.file", {"reason": error.strerror or ""}), str(path)) from None
    return loads(data, str(path))


def content_hash(content: dict[str, Json]) -> str:
    """SHA-256 (hex) over the content as compact ASCII JSON with sorted keys, the hash field left out."""
    rest = {key: value for key, value in content.items() if key != HASH}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(canonical.encode("ascii")).hexdigest()


def _encodable(value: Json) -> Json:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {str(_encodable(key)): _encodable(item) for key, item in value.items()}
    return value


def _refuse(kind: str, path: str, **params: str) -> Refusal:
    return Refusal(2, Message(f"report.refused.{kind}", params), path)
