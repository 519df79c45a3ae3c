"""One release in plain data: what ``inspect`` shows and prints as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod
from typing import Any

from apograph.findings import Json, Unexamined
from apograph.release.types import Release, Tensors
from apograph.report.sentence import sentence

_TOLD = (
    "model_type",
    "architectures",
    "_name_or_path",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "query_num",
    "torch_dtype",
    "transformers_version",
)
"""What is told of a configuration, in this order, where it is there."""


def summary(release: Release, lang: str = "en") -> dict[str, Json]:
    """Files, configuration, tokenizer, tensors, history and gaps of a release, as JSON values.

    Everything but the files is read now; texts are as the release has them, to be escaped by who shows them.
    """
    parts = {
        "ref": release.ref,
        "kind": release.kind,
        "revision": release.revision,
        "revision_time": release.revision_time,
        "digest": release.digest,
        "files": _files(release),
        "config": _config(release),
        "tokenizer": _tokenizer(release),
        "tensors": _tensors(release.tensors),
        "card": _card(release),
        "history": _history(release),
    }
    gaps = release.faults  # after the parts: reading them finds the gaps
    return {
        **parts,
        "faults": [_gap(gap, lang) for gap in gaps if gap.fault],
        "notes": [_gap(gap, lang) for gap in gaps if not gap.fault],
    }


def _gap(gap: Unexamined, lang: str) -> Json:
    return {"path": gap.path, "reason": sentence(gap.reason, lang), "code": gap.code if gap.fault else 0}


def _counted(values: Iterable[str]) -> dict[str, Json]:
    """How often each value occurs, most frequent first."""
    counts = Counter(values)
    return {value: counts[value] for value in sorted(counts, key=lambda value: (-counts[value], value))}


def _files(release: Release) -> dict[str, Json]:
    def suffix(name: str) -> str:
        stem, dot, end = name.rpartition(".")
        return f".{end.lower()}" if dot and stem and len(end) <= 12 else ""

    return {
        "n": len(release.files),
        "size": sum(file.size or 0 for file in release.files),
        "content": _counted(file.content.value for file in release.files),
        "suffixes": _counted(suffix(file.name) for file in release.files),
    }


def _config(release: Release) -> dict[str, Json]:
    main = release.config
    path = next((path for path, value in release.configs.items() if value is main or value == main), None)
    return {
        "path": path if main else None,
        "values": {name: main[name] for name in _TOLD if name in main},
        "others": [other for other in release.configs if not main or other != path],
    }


def _tokenizer(release: Release) -> Json:
    found = release.tokenizer
    if found is None:
        return None
    return {
        "files": list(found.files),
        "vocabulary": None if found.vocab is None else len(found.vocab),
        "merges": None if found.merges is None else len(found.merges),
        "added": len(found.added),
        "special": dict(found.special),
        "template": None if found.chat_template is None else len(found.chat_template),
    }


def _tensors(found: Tensors | None) -> Json:
    if found is None:
        return None
    shapes = [entry.shape for entry in found.entries]
    tops: dict[str, list[int]] = {}
    for entry in found.entries:
        top = tops.setdefault(entry.name.partition(".")[0], [0, 0])
        top[0] += 1
        top[1] += prod(entry.shape) if entry.shape is not None else 0
    known = all(shape is not None for shape in shapes)
    per_top: dict[str, Any] = {
        name: {"n": n, "parameters": parameters if known else None} for name, (n, parameters) in tops.items()
    }
    return {
        "path": found.path,
        "source": found.source,
        "n": len(found.entries),
        "parameters": sum(prod(shape) for shape in shapes if shape is not None) if known else None,
        "total_size": found.total_size,
        "dtypes": _counted(entry.dtype for entry in found.entries if entry.dtype is not None),
        "top": per_top,
    }


def _card(release: Release) -> Json:
    found = release.card
    return None if found is None else {"path": found.path, "declared": dict(found.declared)}


def _history(release: Release) -> Json:
    found = release.history
    if found is None:
        return None
    return {
        "commits": len(found.commits),
        "first": min((commit.time for commit in found.commits), default=None),
        "last": max((commit.time for commit in found.commits), default=None),
        "authors": _counted(commit.author for commit in found.commits),
        "versions": len(found.versions),
        "paths": len({version.path for version in found.versions}),
        "refs": sorted({ref for commit in found.commits for ref in commit.refs}),
        "truncated": found.truncated,
    }
