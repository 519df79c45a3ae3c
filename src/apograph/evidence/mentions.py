"""Where one party writes the other's name: any revision, deleted files and left-over bytecode included."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apograph import plain
from apograph.align.names_of import Mention, Name, mentions, names_of, texts_of, too_many_texts
from apograph.evidence.dates import day
from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import (
    Bearing,
    Exhibit,
    Finding,
    Json,
    Location,
    Measure,
    Message,
    Refusal,
    Side,
    Strength,
    Unexamined,
)
from apograph.release import sandbox
from apograph.release.bytecode import Bytecode
from apograph.release.types import Release

ROWS = 60
PROSE = (".md", ".txt", ".html")
IDENTIFIER = re.compile(r"[A-Za-z_]\w+")
COMPOUND = re.compile(r"_*[A-Za-z0-9]+(_[A-Za-z0-9]+)+")
"""A name of several words says more than ``append`` or ``image``."""
MANY_NAMES = 5


@examiner("history")
def mentions_of_the_other(case: Case) -> Iterator[Finding | Unexamined]:
    """Names of the reference in the candidate, and of the candidate in the reference."""
    for side, writer, other in case.each_way:
        if too_many_texts(writer):
            yield Unexamined("history", Message("history.too_many_texts"), side, fault=True, code=5)
        own = [name.squeezed for name in names_of(writer)]
        names = [name for name in names_of(other) if not any(name.squeezed in mine for mine in own)]
        seen = list(mentions(names, writer))
        if seen:
            yield _finding(case, side, seen)


def _finding(case: Case, side: Side, seen: list[Mention]) -> Finding:
    everybody = _known_elsewhere(case, {m.name for m in seen})
    own = [m for m in seen if m.name not in everybody]
    in_work = [m for m in own if not m.version.path.lower().endswith(PROSE) and m.name.kind != "owner"]
    removed = [m for m in in_work if m.version.until is not None]
    rows = _rows(sorted(seen, key=lambda m: (m not in in_work, m.version.since, m.version.path)))
    columns = ["name", "file", "line", "text", "states", "since", "until"]
    kind = "in_work" if in_work else "in_passing"
    first = min(in_work or own or seen, key=lambda m: (m.version.since, m.version.path))
    return Finding(
        id=f"history.mentions:{side}",
        channel="history",
        message=Message(
            f"history.mentions.{kind}",
            {
                "side": side,
                "name": first.name.text,
                "path": first.version.path,
                "n": len(in_work) if in_work else len(seen),
                "removed": len(removed),
            },
        ),
        bearing=Bearing.SUPPORTING if in_work else Bearing.CONTEXT,
        measures=(
            Measure("history.mentions_in_work", len(in_work)),
            Measure("history.mentions_removed", len(removed)),
            Measure("history.mentions_all", len(seen)),
        ),
        exhibits=(
            Exhibit(
                "table",
                {"columns": columns, "rows": rows},
                Message("history.mentions.caption", {"side": side}),
            ),
        ),
        locations=tuple(
            Location(side, m.version.path, m.version.commit or None, m.line, m.line)
            for m in (in_work or seen)[:ROWS]
        ),
        strength=Strength("descriptive" if in_work else "none"),
        alternatives=(
            Message("history.mentions.alternative_comparison"),
            Message("history.mentions.alternative_open_use"),
        ),
        limits=(Message("history.forgeable"),),
    )


def _rows(seen: list[Mention]) -> list[list[Json]]:
    """One row for all states of a file that say the same."""
    groups: dict[tuple[str, str, str], list[Mention]] = {}
    for mention in seen:
        groups.setdefault((mention.name.text, mention.version.path, mention.text), []).append(mention)
    rows: list[list[Json]] = []
    for (name, path, text), states in list(groups.items())[:ROWS]:
        ends = [state.version.until for state in states]
        until = None if None in ends else max(end for end in ends if end is not None)
        since = min(state.version.since for state in states)
        rows.append([name, path, states[0].line, text, len(states), day(since), day(until)])
    return rows


def _known_elsewhere(case: Case, names: set[Name]) -> set[Name]:
    """Names that a base or the claimed source writes too: to mention them is to mention those."""
    known: set[Name] = set()
    for release in (*case.bases, *case.claimed):
        known |= {m.name for m in mentions(names - known, release)}
    return known


@examiner("history", needs=Part.CODE)
def bytecode(case: Case) -> Iterator[Finding | Unexamined]:
    """Names in one side's left-over bytecode that the other's code has too, and no base has."""
    for side, release, other in case.each_way:
        found: list[tuple[str, Bytecode]] = []
        for path, read in _bytecode_of(release):
            if isinstance(read, Refusal):
                yield Unexamined("history", read.message, side, path, fault=True, code=read.code)
            else:
                found.append((path, read))
        if found:
            yield _compiled(case, side, found, _words(other))


def _compiled(case: Case, side: Side, found: list[tuple[str, Bytecode]], theirs: set[str]) -> Finding:
    """``theirs``: words of the other's sources."""
    for release in (*case.bases, *case.claimed):
        theirs = theirs - _words(release)
    published = _words(case.candidate if side == "candidate" else case.reference)
    shared = {path: [n for n in code.names if n in theirs and COMPOUND.fullmatch(n)] for path, code in found}
    names = sorted({name for part in shared.values() for name in part})
    gone = [name for name in names if name not in published]
    rows: list[Json] = [
        [
            path,
            code.python_version,
            len(code.names),
            len(shared[path]),
            ", ".join(code.filenames[:1]),
            day(code.source_mtime),
            code.source_size,
        ]
        for path, code in sorted(found, key=lambda entry: -len(shared[entry[0]]))[:ROWS]
    ]
    columns = ["file", "python", "names", "names_of_the_other", "source", "source_time", "source_bytes"]
    listed = [*gone, *(name for name in names if name in published)]
    shown = {"items": listed[:ROWS], "more": max(0, len(listed) - ROWS)}
    return Finding(
        id=f"history.bytecode:{side}",
        channel="history",
        message=Message(
            "history.bytecode.found", {"side": side, "files": len(found), "n": len(names), "gone": len(gone)}
        ),
        bearing=Bearing.SUPPORTING if len(gone) >= MANY_NAMES else Bearing.CONTEXT,
        measures=(
            Measure("history.bytecode_files", len(found)),
            Measure("history.bytecode_names", len({n for _, code in found for n in code.names})),
            Measure("history.bytecode_shared", len(names)),
            Measure("history.bytecode_gone", len(gone)),
        ),
        exhibits=(
            Exhibit("list", shown, Message("history.bytecode.caption")),
            Exhibit("table", {"columns": columns, "rows": rows}, Message("history.bytecode.sources")),
        ),
        locations=tuple(Location(side, path) for path, _ in found[:ROWS]),
        alternatives=(Message("history.bytecode.alternative"),),
    )


def _bytecode_of(release: Release) -> Iterator[tuple[str, Bytecode | Refusal]]:
    for file in release.files:
        if file.path.endswith(".pyc") and (content := release.read(file.path)) is not None:
            try:
                read = sandbox.call("apograph.release.bytecode:read_bytecode", content, file.path)
                yield file.path, plain.load(Bytecode, read)
            except Refusal as refusal:
                yield file.path, refusal


def _words(release: Release) -> set[str]:
    """Every identifier-like word in the Python sources of all revisions."""
    words: set[str] = set()
    for version, text in texts_of(release):
        if version.path.endswith(".py"):
            words.update(IDENTIFIER.findall(text))
    return words
