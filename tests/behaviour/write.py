"""Small answer files for tests, and what is read from such files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from apograph.behaviour.formats import read_records
from apograph.behaviour.records import Record
from apograph.behaviour.rows import AnswerFile


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_file(path: Path) -> Iterator[Record]:
    return read_records(AnswerFile(path))


def answers(path: Path, given: str, keys: str, name: str = "") -> Path:
    """One letter per item; ``.`` stands for no row."""
    return jsonl(
        path,
        [
            {"item": f"q{n}", "raw": raw, "key": key, "model": name or path.stem}
            for n, (raw, key) in enumerate(zip(given, keys, strict=True))
            if raw != "."
        ],
    )
