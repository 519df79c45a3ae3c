"""The rows of an answer file as plain dictionaries: JSON lines, CSV, TSV or XLSX, streamed and bounded."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from apograph.behaviour.records import MAX_LINE, MAX_ROWS
from apograph.release.json_text import MAX_DEPTH, parse_json
from apograph.release.refuse import refuse

MAX_WHOLE = 256 << 20
"""The largest file, in bytes, that is one JSON object and has to be read whole."""


class AnswerFile:
    """An open answer file; iterate over it for its rows. ``sha256`` is complete once the rows are read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._stream = _open(path)
        self._digest = hashlib.sha256()
        self.row = 0

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the bytes read so far."""
        return self._digest.hexdigest()

    def check(self, fits: bool) -> None:
        """Raise Refusal 2 for the present row unless it ``fits``."""
        if not fits:
            raise refuse("answers.field", self.path, row=self.row)

    def text(self, value: Any) -> str | None:
        """Text as it is, numbers and truth values as JSON writes them, None for null; else refused."""
        if value is None or isinstance(value, str):
            return value
        self.check(isinstance(value, bool | int | float))
        return json.dumps(value)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows. Raises Refusal 2 for what cannot be read as answers, 5 for a limit (rows, row length)."""
        with self._stream as stream:
            start = stream.peek(8)[:8]  # type: ignore[attr-defined]
            if not start:
                raise refuse("answers.empty", self.path)
            if start.startswith(b"PK\x03\x04"):
                from apograph.behaviour.xlsx import read_xlsx

                yield from read_xlsx(stream, self.path)
                stream.seek(0)
                for block in iter(lambda: stream.read(1 << 20), b""):
                    self._digest.update(block)
                return
            if start[:2] in (b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
                raise refuse("answers.encoding", self.path, 0)
            name = self.path.lower()
            if name.endswith((".csv", ".tsv")):
                yield from self._table("\t" if name.endswith(".tsv") else ",")
            elif stream.peek(8)[:8].split(b"\n")[0].strip() == b"{":  # type: ignore[attr-defined]
                yield from self._logs()
            else:
                yield from self._json_lines()

    def _logs(self) -> Iterator[dict[str, Any]]:
        """The rows of one indented JSON object: its ``logs``, as old versions of lmms-eval wrote them."""
        data = self._stream.read(MAX_WHOLE + 1)
        if len(data) > MAX_WHOLE:
            raise refuse("answers.whole", self.path, code=5, limit=MAX_WHOLE)
        self._digest.update(data)
        whole = parse_json(data, self.path, MAX_WHOLE)
        rows = whole.get("logs") if isinstance(whole, dict) else None
        if not isinstance(rows, list):
            raise refuse("answers.logs", self.path)
        for row in rows:
            self.row += 1
            if not isinstance(row, dict):
                raise refuse("answers.row", self.path, row=self.row)
            yield row

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Byte offset and content of every line, the line end included."""
        offset = 0
        read, digest = self._stream.readline, self._digest.update
        while line := read(MAX_LINE + 1):
            if len(line) > MAX_LINE or self.row >= MAX_ROWS:
                raise refuse("answers.limit", self.path, offset, code=5, rows=MAX_ROWS, limit=MAX_LINE)
            digest(line)
            if offset == 0 and line.startswith(b"\xef\xbb\xbf"):
                line, offset = line[3:], 3
            yield offset, line
            offset += len(line)

    def _json_lines(self) -> Iterator[dict[str, Any]]:
        scan = json.JSONDecoder(parse_constant=_refused, parse_float=_finite).raw_decode
        for offset, line in self._lines():
            if line.isspace():
                continue
            self.row += 1
            value: Any = None
            try:
                # The quick way. As many colons as keys: no key stands twice and no object lies within another
                # (a colon inside a text only sends the row the slow way).
                if b"\\u" not in line and line.count(b"[") <= MAX_DEPTH:
                    text = line.decode("utf-8")
                    value, end = scan(text)
                    if line.count(b":") != len(value) or not text[end:].isspace():
                        value = None
            except (ValueError, RecursionError, TypeError):
                value = None
            if value is None:
                value = parse_json(line.strip(), f"{self.path}:{self.row}")
            if not isinstance(value, dict):
                raise refuse("answers.row", self.path, offset, row=self.row)
            yield value

    def _table(self, delimiter: str) -> Iterator[dict[str, Any]]:
        csv.field_size_limit(MAX_LINE)
        try:
            reader = csv.reader((line.decode("utf-8") for _, line in self._lines()), delimiter=delimiter)
            header = next(reader, [])
            if len(set(header)) != len(header):
                raise refuse("answers.columns", self.path)
            for fields in reader:
                if not fields:
                    continue
                self.row += 1
                if len(fields) != len(header):
                    raise refuse("answers.width", self.path, row=self.row, found=len(fields), due=len(header))
                yield dict(zip(header, fields, strict=True))
        except UnicodeDecodeError:
            raise refuse("answers.encoding", self.path) from None
        except csv.Error as error:
            raise refuse("answers.table", self.path, row=self.row + 1, reason=str(error)) from None


def _open(path: Path) -> BinaryIO:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        code = 4 if isinstance(error, FileNotFoundError) else 2
        raise refuse("answers.open", str(path), code=code, reason=error.strerror or "") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise refuse("answers.open", str(path), reason="not a regular file")
    return io.BufferedReader(io.FileIO(number), 1 << 20)


def _refused(_: str) -> Any:
    raise ValueError


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError
    return value
