"""A release's own code read statically, once for all examiners that need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apograph.evidence.registry import Case
from apograph.findings import Json, Message, Refusal, Side, Unexamined
from apograph.release import sandbox
from apograph.release.types import Content, File, Release

MOST_FILES = 200
MOST_BYTES = 4 << 20
SECONDS = 60.0


def side_of(case: Case, side: Side) -> Release:
    """The release of one side."""
    return case.reference if side == "reference" else case.candidate


def read_code(case: Case, release: Release, side: str) -> tuple[dict[str, Any] | None, list[Unexamined]]:
    """What ``release.static_model.read_model`` says of a release, and what of it could not be read.

    None for a release without Python files. Kept in ``case.shared`` under the key
    ``consistency.code:<id(release)>``, so that other examiners find it.
    """
    key = f"consistency.code:{id(release)}"
    if key not in case.shared:
        case.shared[key] = _read(release)
    found, gaps = case.shared[key]
    return found, [Unexamined("consistency", m, side, path, fault, code) for m, path, fault, code in gaps]


_Gap = tuple[Message, str, bool, int]


def _read(release: Release) -> tuple[dict[str, Any] | None, list[_Gap]]:
    gaps: list[_Gap] = []
    sources: dict[str, str] = {}
    total = 0
    configs = json_configs(release)
    python = sorted((f for f in release.files if f.path.endswith(".py")), key=lambda f: _order(f, configs))
    for file in python:
        if file.content is not Content.PRESENT:
            gaps.append((Message("consistency.gap.absent"), file.path, False, 2))
            continue
        if len(sources) >= MOST_FILES or total + (file.size or 0) > MOST_BYTES:
            gaps.append((Message("consistency.gap.many", {"n": MOST_FILES}), file.path, True, 5))
            break
        content = release.read(file.path)
        if content is not None:
            sources[file.path] = content.decode("utf-8", "replace")
            total += len(content)
    if not sources and not any(_published(c) for c in configs.values()):
        return None, gaps
    try:
        found = sandbox.call(
            "apograph.release.static_model:read_model",
            sources,
            [f.path for f in release.files],
            configs,
            seconds=SECONDS,
        )
    except Refusal as refusal:
        return None, [*gaps, (refusal.message, refusal.path, True, refusal.code)]
    for item in found["unread"]:
        if item["kind"] != "syntax":
            gaps.append((Message(f"consistency.gap.{item['kind']}"), item["path"], True, 5))
    return found, gaps


def json_configs(release: Release) -> dict[str, Json]:
    """The configurations by path, that of the tokenizer included."""
    configs: dict[str, Json] = dict(release.configs)
    tokenizer = release.tokenizer
    if tokenizer is not None and tokenizer.config:
        path = next(
            (p for p in tokenizer.files if p.endswith("tokenizer_config.json")), "tokenizer_config.json"
        )
        configs[path] = dict(tokenizer.config)
    return configs


def config_path(release: Release) -> str:
    """Where the main configuration stands."""
    return next((p for p, value in release.configs.items() if value == release.config), "config.json")


def _order(file: File, configs: Mapping[str, Json]) -> tuple[bool, int, str]:
    """Files beside a configuration first, then the shallower."""
    folders = {p.rpartition("/")[0] for p in configs}
    return file.path.rpartition("/")[0] not in folders, file.path.count("/"), file.path


def _published(config: Json) -> bool:
    return isinstance(config, dict) and bool(config.get("architectures"))
