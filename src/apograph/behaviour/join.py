"""Answer files joined on the identity of the items, never on the order of rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.canonical import FAILED, MISSING, REFUSED, Kind, canonical, guess_kind, plain
from apograph.behaviour.formats import read_records
from apograph.behaviour.records import MAX_TEXT, By, Record
from apograph.behaviour.rows import AnswerFile
from apograph.behaviour.sheet import Column, Sheet
from apograph.findings import Refusal
from apograph.release.refuse import refuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOK = 200


@dataclass(slots=True)
class _Table:
    """What grows while files are read: items by identity, distinct texts, keys and prompts by row; ``shown``
    counts the answers whose prompt is known."""

    kind: Kind | None
    by: By = "content"
    rows: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    held: int = 0
    keys: array[int] = field(default_factory=lambda: array("i"))
    options: array[int] = field(default_factory=lambda: array("h"))
    prompts: list[str | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    forms: dict[str | None, int] = field(default_factory=dict)
    shown: int = 0

    def row(self, identity: str, name: str) -> int:
        found = self.rows.get(identity)
        if found is None:
            found = self.rows[identity] = len(self.keys)
            self.keys.append(MISSING)
            self.options.append(0)
            self.prompts.append(None)
            self.names.append(name)
        return found

    def code(self, text: str, path: str) -> int:
        found = self.codes.get(text)
        if found is None:
            self.held += len(text)
            if self.held > MAX_TEXT:
                raise refuse("answers.text", path, code=5, limit=MAX_TEXT)
            found = self.codes[text] = len(self.codes)
        return found

    def form(self, answer: str, path: str) -> int:
        """The code of an answer's comparable form; short answers are remembered."""
        found = self.forms.get(answer)
        if found is None:
            made = canonical(answer, self.kind or "text")
            found = made if isinstance(made, int) else self.code(made, path)
            if len(answer) <= 32 and len(self.forms) < 100_000:
                self.forms[answer] = found
        return found


def join(paths: Sequence[Path], key: Path | None = None, kind: Kind | None = None) -> Sheet:
    """Read and join answer files. ``key`` names a file of right answers; keys within the files count too.

    Items are joined on the hash of their content. Files that do not meet so are joined on what the items
    show, whatever they are called (no file may then show the same under two names); and on names alone only
    where a file holds no content.

    Raises Refusal 2 when a file cannot be read, when the same item was asked with different prompts or has
    two keys, when a file answers an item twice differently, or when two files have no item in common.
    """
    try:
        return _join(paths, key, kind, "content")
    except Refusal as refusal:
        if refusal.message.key not in ("readers.answers.disjoint", "readers.answers.otherwise"):
            raise
        for by in ("shown", "name"):
            try:
                return _join(paths, key, kind, by)
            except Refusal:
                continue
        raise


def _join(paths: Sequence[Path], key: Path | None, kind: Kind | None, by: By) -> Sheet:
    table = _Table(kind, by)
    columns, bare = [], False
    for path in paths:
        before = table.shown
        columns.append(_read(path, table))
        bare |= table.shown == before
    if by == "name" and not bare:
        raise refuse("answers.disjoint", columns[-1].path, first=columns[0].path)
    if key is not None:
        _read_key(key, table, columns[0].path)
    n, identities = len(table.rows), tuple(table.rows)
    names = _distinct([column.name for column in columns])
    filled = tuple(
        Column(
            name,
            column.path,
            column.sha256,
            _padded(column.codes, n, MISSING),
            None if column.margins is None else _padded(column.margins, n, np.nan),
            column.repeats,
            column.sigma,
            column.rows,
        )
        for name, column in zip(names, columns, strict=True)
    )
    for column in filled[1:]:
        _meet(filled[0], column, table)
    return Sheet(
        table.kind or "text",
        identities,
        filled,
        np.frombuffer(table.keys, dtype=np.int32),
        np.frombuffer(table.options, dtype=np.int16),
        tuple(table.codes),
        tuple(table.names),
    )


def _meet(first: Column, other: Column, table: _Table) -> None:
    """Refuse two files that show different things under one name, or that have no item in common."""
    one, two = first.codes != MISSING, other.codes != MISSING
    apart = [{table.names[row] for row in np.flatnonzero(rows).tolist()} for rows in (one & ~two, two & ~one)]
    if alike := (apart[0] & apart[1]) - {""}:
        called = [_called(np.flatnonzero(rows).tolist(), table.names) for rows in (one, two)]
        for name in sorted(alike & called[0].keys() & called[1].keys()):
            raise refuse("answers.otherwise", other.path, item=name)
    if not (one & two).any():
        raise refuse("answers.disjoint", other.path, first=first.path)


def _called(rows: Iterable[int], names: Sequence[str]) -> dict[str, int]:
    """The rows by what their items are called, as far as one name means one item."""
    found: dict[str, int] = {}
    twice = set()
    for row in rows:
        if found.setdefault(names[row], row) != row:
            twice.add(names[row])
    return {name: row for name, row in found.items() if name not in twice}


def _padded(values: NDArray[Any], n: int, filler: float) -> NDArray[Any]:
    return np.concatenate([values, np.full(n - len(values), filler, dtype=values.dtype)])


def _distinct(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({n + 1})" for n, name in enumerate(names)]


def _read(path: Path, table: _Table) -> Column:
    file = AnswerFile(path)
    records = read_records(file, by=table.by)
    head = list(islice(records, _LOOK))
    if table.kind is None:
        table.kind = guess_kind([r.answer for r in head if r.answer], [r.options for r in head])
    codes = array("i", [MISSING]) * len(table.keys)
    margins: dict[int, float] = {}
    samples: dict[int, str] = {}
    repeats: dict[int, list[int]] = {}
    model, sigma = "", None
    row_of, form_of, keys = table.rows.get, table.forms.get, table.keys
    called, by_shown = dict[int, str](), table.by == "shown"
    for record in chain(head, records):  # a million times over: what is known already is looked up in place
        identity, item, answer, key, prompt_hash, sample, margin, state, options, named, noise = record
        row = row_of(identity)
        if row is None:
            row = table.row(identity, item)
        if row >= len(codes):
            codes.append(MISSING)
        if by_shown and called.setdefault(row, item) != item:
            raise refuse("answers.disjoint", file.path, first=item)
        code = None if state else form_of(answer)
        if code is None:
            code = _code(record, table, file)
        model, sigma = named or model, sigma if noise is None else noise
        if (key and keys[row] != form_of(key)) or prompt_hash or options:
            _note(record, row, table, file)
        if codes[row] == MISSING:
            codes[row] = code
            if sample:
                samples[row] = sample
        elif sample != samples.get(row, ""):
            repeats.setdefault(row, []).append(code)
        elif codes[row] != code:
            raise refuse("answers.twice", file.path, item=item or identity)
        if margin is not None:
            margins[row] = margin
    spread = None
    if margins:
        spread = np.full(len(codes), np.nan)
        spread[list(margins)] = list(margins.values())
    return Column(
        model or path.stem,
        str(path),
        file.sha256,
        np.frombuffer(codes, dtype=np.int32),
        spread,
        {row: tuple(more) for row, more in repeats.items()},
        sigma,
        file.row,
    )


def _code(record: Record, table: _Table, file: AnswerFile) -> int:
    if record.state:
        return REFUSED if record.state == "refusal" else FAILED
    return MISSING if record.answer is None else table.form(record.answer, file.path)


def _note(record: Record, row: int, table: _Table, file: AnswerFile) -> None:
    """Keep the item's key, prompt and number of options; refuse what contradicts an earlier file."""
    if record.key:
        code = _key_code(record.key, table, file.path)
        if table.keys[row] not in (MISSING, code):
            raise refuse("answers.keys", file.path, item=record.item or record.identity)
        table.keys[row] = code
    if record.prompt_hash:
        if table.prompts[row] not in (None, record.prompt_hash):
            raise refuse("answers.prompts", file.path, item=record.item or record.identity)
        table.prompts[row] = record.prompt_hash
        table.shown += 1
    if record.options:
        table.options[row] = min(record.options, 32767)


def _key_code(key: str, table: _Table, path: str) -> int:
    form = table.form(key, path)
    return form if form >= 0 else table.code(plain(key), path)


def _read_key(path: Path, table: _Table, first: str) -> None:
    """Keys from a file of their own: its ``key`` field, or its answers; joined as the answers are,
    or, where it holds no content, on names of which each means one item."""
    file = AnswerFile(path)
    called, met = _called(range(len(table.names)), table.names), 0
    for record in read_records(file, keys=True, by=table.by):
        row = table.rows.get(record.identity)
        if row is None and record.identity.startswith("i:"):
            row = called.get(record.item)
        given = record.key or record.answer
        if row is None or not given:
            continue
        met += 1
        code = _key_code(given, table, file.path)
        if table.keys[row] not in (MISSING, code):
            raise refuse("answers.keys", file.path, item=record.item or record.identity)
        table.keys[row] = code
    if not met:
        raise refuse("answers.disjoint", file.path, first=first)
