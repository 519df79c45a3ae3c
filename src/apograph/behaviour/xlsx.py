"""The first sheet of an XLSX workbook (ECMA-376): a bounded reader of what answer tables use of it.

Cells are taken as text; formulas, styles, links and every other part are not looked at. A document type
declaration, and with it any entity, is refused.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from apograph.behaviour.records import MAX_LINE, MAX_ROWS
from apograph.release.refuse import refuse

MAX_XML = 1 << 29
MAX_RATIO = 200
_STRINGS = "xl/sharedStrings.xml"
_SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml")


def read_xlsx(stream: BinaryIO, path: str) -> Iterator[dict[str, Any]]:
    """Rows of the first sheet as dictionaries by the names in its first row; absent cells are empty text."""
    try:
        with zipfile.ZipFile(stream) as book:
            sheets = sorted(
                (int(found[1]), name) for name in book.namelist() if (found := _SHEET.fullmatch(name))
            )
            if not sheets or len(book.namelist()) > 10_000:
                raise refuse("answers.xlsx", path)
            strings: list[str] = []
            if _STRINGS in book.namelist():
                for part in _parse(book, _STRINGS, path, _Strings()):
                    strings.append(part)
            header: list[str] | None = None
            for cells in _parse(book, sheets[0][1], path, _Rows(strings)):
                if header is None:
                    header = [cells.get(column, "") for column in range(max(cells, default=-1) + 1)]
                    if len(set(header)) != len(header):
                        raise refuse("answers.columns", path)
                else:
                    yield {name: cells.get(column, "") for column, name in enumerate(header)}
    except (
        zipfile.BadZipFile,
        expat.ExpatError,
        ValueError,
        KeyError,
        IndexError,
        EOFError,
        NotImplementedError,
    ):
        raise refuse("answers.xlsx", path) from None
    except RuntimeError:  # an encrypted member
        raise refuse("answers.xlsx", path) from None


def _parse(book: zipfile.ZipFile, member: str, path: str, collector: Any) -> Iterator[Any]:
    info = book.getinfo(member)
    if info.file_size > MAX_XML or info.file_size > MAX_RATIO * max(info.compress_size, 1000):
        raise refuse("answers.limit", path, code=5, rows=MAX_ROWS, limit=MAX_LINE)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.text
    rows = 0
    with book.open(info) as source:
        while block := source.read(1 << 16):
            parser.Parse(block, False)
            for done in collector.take():
                rows += 1
                if rows > MAX_ROWS:
                    raise refuse("answers.limit", path, code=5, rows=MAX_ROWS, limit=MAX_LINE)
                yield done
        parser.Parse(b"", True)
        yield from collector.take()


def _no_doctype(*_: Any) -> None:
    raise ValueError("document type declaration")


def _local(tag: str) -> str:
    return tag.rsplit(":", 1)[-1]


class _Collector:
    """Gathers text between two tags, bounded, and hands over what is complete."""

    def __init__(self) -> None:
        self._done: list[Any] = []
        self._text: list[str] | None = None
        self._size = 0

    def take(self) -> list[Any]:
        done, self._done = self._done, []
        return done

    def text(self, data: str) -> None:
        if self._text is not None:
            self._size += len(data)
            if self._size > MAX_LINE:
                raise ValueError("cell too long")
            self._text.append(data)


class _Strings(_Collector):
    """The table of shared strings: one text per ``si`` element (phonetic runs ``rPh`` left out)."""

    _phonetic = False

    def start(self, tag: str, _: dict[str, str]) -> None:
        name = _local(tag)
        if name == "si":
            self._parts, self._size = list[str](), 0
        elif name == "rPh":
            self._phonetic = True
        elif name == "t" and not self._phonetic:
            self._text = []

    def end(self, tag: str) -> None:
        name = _local(tag)
        if name == "t" and self._text is not None:
            self._parts += self._text
            self._text = None
        elif name == "rPh":
            self._phonetic = False
        elif name == "si":
            self._done.append("".join(self._parts))


class _Rows(_Collector):
    """The rows of a sheet: column number (from 0) to text."""

    def __init__(self, strings: list[str]) -> None:
        super().__init__()
        self._strings = strings
        self._cells: dict[int, str] = {}
        self._column, self._kind = 0, ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "row":
            self._cells, self._column = {}, -1
        elif name == "c":
            self._column = _column(attributes["r"]) if "r" in attributes else self._column + 1
            self._kind, self._size = attributes.get("t", "n"), 0
            self._cells[self._column] = ""
        elif name in ("v", "t"):
            self._text = []

    def end(self, tag: str) -> None:
        name = _local(tag)
        if name in ("v", "t") and self._text is not None:
            value = "".join(self._text)
            self._cells[self._column] += self._strings[int(value)] if self._kind == "s" else value
            self._text = None
        elif name == "row":
            self._done.append(self._cells)


def _column(reference: str) -> int:
    """Column number from 0 of a reference such as ``AB12``; at most three letters (16,384 columns)."""
    letters = re.match(r"[A-Z]{1,3}", reference)
    if letters is None:
        raise ValueError(reference)
    number = 0
    for letter in letters[0]:
        number = number * 26 + ord(letter) - 64
    return number - 1
