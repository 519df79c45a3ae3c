"""The parts of a release that are read from its files: configuration, tokenizer, model card.

These functions run in a worker. Each answers ``{"value": ..., "faults": [...]}`` in plain JSON: what could be
read, and what could not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from apograph import plain
from apograph.findings import Json, Refusal, Unexamined
from apograph.release.card import read_card
from apograph.release.gguf_header import read_header as read_gguf
from apograph.release.json_text import parse_json
from apograph.release.source import Source, fault, note, open_source, read_whole, refused, shallowest
from apograph.release.tokenizer_files import NAMES as TOKENIZER_NAMES
from apograph.release.tokenizer_files import read_tokenizer
from apograph.release.tokenizer_gguf import read_gguf_tokenizer
from apograph.release.types import Content, File, Tokenizer

LARGEST_CONFIG = 4 << 20
LARGEST_CARD = 4 << 20
LARGEST_TOKENIZER = 64 << 20
MOST_CONFIGS = 1000
_CONFIG = re.compile(r"[\w.-]*config[\w.-]*\.json|configuration\.json|params\.json|modules\.json", re.ASCII)
# Files that alone show a tokenizer; a lone vocab.txt or merges.txt may be anything.
_SHOWS_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json")


def answer(value: object, faults: Iterable[Unexamined]) -> Json:
    """A value and its faults as they travel."""
    return {"value": plain.dump(value), "faults": plain.dump(list(faults))}


def absent(file: File) -> Unexamined:
    """The note that a file's content was not published here."""
    return note(f"absent.{file.content.value}", file.path)


def is_config(name: str) -> bool:
    """Whether a file of this name is a configuration (and not a tokenizer's)."""
    return _CONFIG.fullmatch(name) is not None and name not in TOKENIZER_NAMES


def configs(spec: dict[str, Json]) -> Json:
    """Every configuration file, by path."""
    source = open_source(spec)
    found: dict[str, Json] = {}
    faults: list[Unexamined] = []
    by_path = {file.path: file for file in source.listing().files if is_config(file.name)}
    for path in shallowest(by_path)[:MOST_CONFIGS]:
        data = _content(source, by_path[path], LARGEST_CONFIG, faults)
        if data is None:
            continue
        try:
            found[path] = parse_json(data, path)
        except Refusal as refusal:
            faults.append(refused(refusal, path))
    return answer(found, faults)


def tokenizer(spec: dict[str, Json]) -> Json:
    """The tokenizer of the shallowest folder that has one; of a GGUF file where there are no such files."""
    source = open_source(spec)
    files = {file.path: file for file in source.listing().files}
    faults: list[Unexamined] = []
    showing = shallowest(path for path in files if path.rpartition("/")[2] in _SHOWS_TOKENIZER)
    contents: dict[str, bytes] = {}
    if showing:
        folder = showing[0].rpartition("/")[0]
        for name in TOKENIZER_NAMES:
            file = files.get(f"{folder}/{name}" if folder else name)
            data = _content(source, file, LARGEST_TOKENIZER, faults) if file else None
            if file and data is not None:
                contents[file.path] = data
    value, more = read_tokenizer(contents)
    if value is None:
        value = _gguf_tokenizer(source, files)
    return answer(value, [*faults, *more])


def _gguf_tokenizer(source: Source, files: Mapping[str, File]) -> Tokenizer | None:
    for path in shallowest(path for path in files if path.lower().endswith(".gguf")):
        try:
            opened = source.open(path)
            if opened is None:
                continue
            with opened[0] as stream:
                found = read_gguf_tokenizer(read_gguf(stream, opened[1], path).metadata, path)
        except Refusal:
            continue  # the reader of tensors says so
        if found is not None:
            return found
    return None


def card(spec: dict[str, Json]) -> Json:
    """The shallowest README.md."""
    source = open_source(spec)
    files = {file.path: file for file in source.listing().files if file.name.lower() == "readme.md"}
    faults: list[Unexamined] = []
    for path in shallowest(files):
        data = _content(source, files[path], LARGEST_CARD, faults)
        if data is not None:
            try:
                value, more = read_card(data, path)
                return answer(value, [*faults, *more])
            except Refusal as refusal:
                faults.append(refused(refusal, path))
        break
    return answer(None, faults)


def _content(source: Source, file: File, limit: int, faults: list[Unexamined]) -> bytes | None:
    """A file's bytes; None, and why in ``faults``, when there are none to be had."""
    if file.content in (Content.LFS, Content.MISSING):
        faults.append(absent(file))
        return None
    try:
        return read_whole(source, file.path, limit)
    except Refusal as refusal:
        faults.append(refused(refusal, file.path))
    except OSError as error:
        faults.append(refused_by_system(error, file.path))
    return None


def refused_by_system(error: OSError, path: str) -> Unexamined:
    """An error of the operating system as a gap."""
    return fault("unreadable", path, reason=error.strerror or "")
