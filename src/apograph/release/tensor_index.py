"""An index of shards (``model.safetensors.index.json``) as data, and shards joined with it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from apograph.findings import Json, Unexamined
from apograph.release.json_text import parse_json
from apograph.release.refuse import refuse
from apograph.release.types import TensorInfo, Tensors

MAX_NAMES = 1_000_000
MAX_SHARDS = 100_000


def read_index(data: bytes, path: str) -> Tensors:
    """The tensors that an index lists, in its order; ``file`` is the shard's path relative to the release.

    ``path`` is the index's own path in the release: shards are found from its folder. Raises Refusal 2 for
    anything that is not an index, a duplicate name or a shard outside the index's folder; 5 over a million
    names or 100,000 shards.
    """
    index = parse_json(data, path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(index, dict) or not isinstance(weight_map, dict):
        raise refuse("index.form", path)
    shards = {shard: _shard_path(name, shard, path) for name, shard in _pairs(weight_map, path)}
    if len(weight_map) > MAX_NAMES or len(shards) > MAX_SHARDS:
        raise refuse("index.many", path, code=5, names=MAX_NAMES, shards=MAX_SHARDS)
    entries = tuple(TensorInfo(name, None, None, shards[shard]) for name, shard in weight_map.items())
    metadata = index.get("metadata", {})
    if not isinstance(metadata, dict):
        raise refuse("index.form", path)
    return Tensors(entries, "index", _total_size(metadata, path), path, metadata)


def _pairs(weight_map: Mapping[str, Json], path: str) -> list[tuple[str, str]]:
    pairs = [(name, shard) for name, shard in weight_map.items() if isinstance(shard, str)]
    if len(pairs) != len(weight_map):
        raise refuse("index.form", path)
    return pairs


def _total_size(metadata: Mapping[str, Json], path: str) -> int | None:
    size = metadata.get("total_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float)) or size < 0 or size != int(size):
        raise refuse("index.total", path)
    return int(size)


def _shard_path(name: str, shard: str, path: str) -> str:
    parts = shard.split("/")
    if not shard or "\\" in shard or "\0" in shard or ":" in parts[0] or {"", ".", ".."} & set(parts):
        raise refuse("index.escape", path, name=name, shard=shard)
    return posixpath.join(posixpath.dirname(path), shard)


def join_shards(
    shards: Mapping[str, Sequence[TensorInfo]],
    index: Tensors | None = None,
    metadata: Mapping[str, Json] | None = None,
) -> tuple[Tensors, tuple[Unexamined, ...]]:
    """One checkpoint from the headers of its files (path to entries), in the index's order if there is one.

    A tensor whose shard is not in ``shards`` keeps the index's entry, without shape; whoever opened the files
    has said why the shard is absent. Disagreements between index and shards, and one name in two files, are
    returned as faults; of two the index's choice, else the first, is kept.
    """
    faults: list[Unexamined] = []
    found: dict[str, TensorInfo] = {}
    wanted = {e.name: e.file for e in index.entries} if index else {}
    for file, entries in shards.items():
        for info in entries:
            other = found.get(info.name)
            if other is not None:
                faults.append(_fault("index.twice", file, info.name, other.file))
            if other is None or wanted.get(info.name) == file:
                found[info.name] = info
    joined: list[TensorInfo] = []
    for entry in index.entries if index else ():
        info = found.pop(entry.name, entry)
        if entry.file in shards and (info is entry or info.file != entry.file):
            listed = index.path if index else ""
            faults.append(_fault("index.not-there", listed, entry.name, entry.file))
        joined.append(info)
    if index:
        faults += [_fault("index.unlisted", info.file, info.name) for info in found.values()]
    joined += found.values()
    total = index.total_size if index else None
    if total is None and all(e.start is not None for e in joined):
        total = sum((e.stop or 0) - (e.start or 0) for e in joined)
    known = all(e.shape is not None for e in joined)
    source = index.path if index else next(iter(shards), "")
    return Tensors(tuple(joined), "headers" if known else "index", total, source, metadata or {}), tuple(
        faults
    )


def _fault(key: str, path: str, name: str, other: str = "") -> Unexamined:
    return Unexamined("release", refuse(key, path, name=name, other=other).message, path=path, fault=True)
