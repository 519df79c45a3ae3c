"""The summary of one release on a terminal, in 80 columns or fewer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from apograph.findings import Json
from apograph.report.escape import visible
from apograph.report.words import say

_WIDEST = 100
_SHOWN = 8
_LONGEST = 200
_Row = tuple[str, str]


def show(told: Mapping[str, Any], *, lang: str = "en", console: Console | None = None) -> None:
    """Print what ``summary`` told. Text from outside is made visible and never read as markup."""
    if console is None:
        console = Console(markup=False, highlight=False, emoji=False)
        console.width = min(console.width, _WIDEST)
    with console.capture() as page:
        for title, rows in _sections(told, lang):
            console.print(Text(say(f"inspect.{title}", lang), style="bold"))
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
            table.add_column(min_width=14, no_wrap=False)
            table.add_column(overflow="fold")
            for name, value in rows:
                table.add_row(Text(f"  {visible(name, 60)}", style="dim"), Text(visible(value, _LONGEST)))
            console.print(table)
    console.file.write("".join(f"{line.rstrip()}\n" for line in page.get().splitlines()))


def _sections(told: Mapping[str, Any], lang: str) -> Iterator[tuple[str, list[_Row]]]:
    def word(key: str) -> str:
        return say(f"inspect.{key}", lang)

    yield (
        "release",
        [
            (word("release").lower(), told["ref"]),
            (word("kind"), told["kind"]),
            (word("revision"), told["revision"] or word("none")),
            *([(word("time"), _time(told["revision_time"]))] if told["revision_time"] is not None else []),
            (word("digest"), told["digest"]),
        ],
    )
    yield "files", list(_files(told["files"], word, lang))
    config = told["config"]
    if config["path"] is not None or config["others"]:
        rows = [(name, _plain(value)) for name, value in config["values"].items()]
        others = [(word("others"), _some(config["others"], lang))] if config["others"] else []
        yield "config", [*([(word("file"), config["path"])] if config["path"] else []), *rows, *others]
    if told["tokenizer"] is not None:
        yield "tokenizer", list(_tokenizer(told["tokenizer"], word, lang))
    if told["tensors"] is not None:
        yield "tensors", list(_tensors(told["tensors"], word, lang))
    if told["card"] is not None:
        declared = [(name, _plain(value)) for name, value in list(told["card"]["declared"].items())[:_SHOWN]]
        yield "card", [(word("file"), told["card"]["path"]), *declared]
    if told["history"] is not None:
        yield "history", list(_history(told["history"], word, lang))
    for name, gaps in (("gaps", told["faults"]), ("notes", told["notes"])):
        if gaps:
            rows = [(gap["path"], gap["reason"]) for gap in gaps[: 2 * _SHOWN]]
            left = len(gaps) - len(rows)
            yield name, rows + ([("", say("inspect.more", lang, n=left))] if left else [])


def _files(files: Mapping[str, Any], word: Any, lang: str) -> Iterator[_Row]:
    content = {name: files["content"].get(name, 0) for name in ("present", "lfs", "missing", "refused")}
    yield word("count"), f"{files['n']:,}: " + say("inspect.by_content", lang, **content)
    yield word("total"), say("inspect.bytes", lang, n=files["size"])
    yield (
        word("suffix"),
        _some((f"{n} {name or word('no_suffix')}" for name, n in files["suffixes"].items()), lang),
    )


def _tokenizer(found: Mapping[str, Any], word: Any, lang: str) -> Iterator[_Row]:
    yield word("file"), _some(found["files"], lang)
    vocabulary = found["vocabulary"]
    yield word("vocabulary"), word("no_vocabulary") if vocabulary is None else f"{vocabulary:,}"
    if found["merges"] is not None:
        yield word("merges"), f"{found['merges']:,}"
    yield word("added"), f"{found['added']:,}"
    if found["special"]:
        yield word("special"), _some((f"{role} {token}" for role, token in found["special"].items()), lang)
    if found["template"] is not None:
        yield word("template"), say("inspect.characters", lang, n=found["template"])


def _tensors(found: Mapping[str, Any], word: Any, lang: str) -> Iterator[_Row]:
    yield word("file"), found["path"]
    yield word("source"), word("from_headers" if found["source"] == "headers" else "from_index")
    yield word("count"), f"{found['n']:,}"
    if found["parameters"] is not None:
        yield word("parameters"), f"{found['parameters']:,}"
    if found["total_size"] is not None:
        yield word("total"), say("inspect.bytes", lang, n=found["total_size"])
    if found["dtypes"]:
        yield word("dtypes"), _some((f"{n} {dtype}" for dtype, n in found["dtypes"].items()), lang)
    tops = sorted(found["top"].items(), key=lambda item: -item[1]["n"])
    yield word("top"), _some((f"{name} {counts['n']}" for name, counts in tops), lang)


def _history(found: Mapping[str, Any], word: Any, lang: str) -> Iterator[_Row]:
    yield word("commits"), f"{found['commits']:,}" + (f", {word('truncated')}" if found["truncated"] else "")
    if found["first"] is not None:
        span = say("inspect.span", lang, first=_time(found["first"]), last=_time(found["last"]))
        yield word("time"), span
    yield word("contents"), say("inspect.versions", lang, n=found["versions"], paths=found["paths"])
    yield word("authors"), _some((f"{name} {n}" for name, n in found["authors"].items()), lang)
    if found["refs"]:
        yield word("references"), _some(found["refs"], lang)


def _some(values: Iterable[str], lang: str) -> str:
    """The first values and how many more there are."""
    listed = list(values)
    more = [say("inspect.more", lang, n=len(listed) - _SHOWN)] if len(listed) > _SHOWN else []
    return ", ".join([*(value[:60] for value in listed[:_SHOWN]), *more])


def _plain(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return value if isinstance(value, str) else repr(value)[:_LONGEST]


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
