"""The tensors of a release from headers and indexes. Runs in a worker; weights themselves are not read.

A checkpoint is looked for in this order: an index of shards (the shallowest), safetensors, GGUF and PyTorch
files; what a file is, its first bytes tell. Of several complete checkpoints the first is taken, and the
report names the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from apograph.findings import Json, Refusal, Unexamined
from apograph.release.content_kind import TORCH, weight_kind
from apograph.release.gguf_header import read_header as read_gguf
from apograph.release.gguf_header import short_metadata
from apograph.release.parts import absent, answer, is_config, refused_by_system
from apograph.release.safetensors_header import read_header as read_safetensors
from apograph.release.source import Source, fault, note, open_source, read_whole, refused, shallowest
from apograph.release.tensor_index import join_shards, read_index
from apograph.release.tokenizer_files import NAMES as TOKENIZER_NAMES
from apograph.release.torch_file import read_torch
from apograph.release.types import Content, File, TensorInfo, Tensors

LARGEST_INDEX = 64 << 20
_INDEX = re.compile(r".*\.index(?:\.[\w-]+)?\.json", re.DOTALL)
_PART = re.compile(r"(.*?)-(\d{5})(?:-of-(\d{5}))?(\.[a-z]+)", re.DOTALL)
_TEXT = (".py", ".json", ".md", ".txt", ".jsonl", ".yaml", ".yml", ".sh", ".html", ".jinja")
_EXAMINED = re.compile(r"(?s).*\.(?:py|pyc|safetensors|gguf)|(?i:readme\.md)|.*\.index(?:\.[\w-]+)?\.json")
_FORMATS = {"safetensors": (".safetensors",), "GGUF": (".gguf",), "PyTorch": TORCH}
_MODEL = ("model", "pytorch_model")
_STATE = re.compile(r"(?s)(?:.*/)?(?:training_args|optimizer|scheduler|scaler|rng_state)[^/]*")
"""What a trainer saves beside a model."""
_UNREAD = (
    ".h5",
    ".hdf5",
    ".keras",
    ".msgpack",
    ".onnx",
    ".npz",
    ".npy",
    ".pkl",
    ".pickle",
    ".joblib",
    ".tflite",
)
"""Names of files that can hold weights in formats that are not read."""
MOST_PICKLES = 1000


@dataclass(slots=True)
class _Found:
    """What reading has brought so far."""

    source: Source
    files: dict[str, File]
    faults: list[Unexamined] = field(default_factory=list)
    metadata: dict[str, Json] = field(default_factory=dict)

    def refuse(self, error: Refusal | OSError, path: str) -> None:
        if isinstance(error, OSError):
            self.faults.append(refused_by_system(error, path))
        else:
            self.faults.append(refused(error, path))


def tensors(spec: dict[str, Json]) -> Json:
    """``Tensors`` or None, as ``parts.answer``."""
    source = open_source(spec)
    found = _Found(source, {file.path: file for file in source.listing().files})
    index = _index(found)
    weights = _weights(found)
    if index is not None:
        _name_others(found, weights, {entry.file for entry in index.entries})
        return answer(_indexed(found, index), found.faults)
    for kind in _FORMATS:
        chosen = _one_checkpoint([path for path, is_kind in weights.items() if is_kind == kind])
        headers = _headers(found, chosen)
        _check_complete(found, chosen)
        if headers and (kind != "PyTorch" or any(headers.values())):  # any object may be a pickle
            _name_others(found, weights, chosen)
            joined, faults = join_shards(headers, metadata=found.metadata)
            return answer(joined, [*found.faults, *faults])
    return answer(None, found.faults)


def supported(spec: dict[str, Json]) -> bool:
    """Whether a release holds anything that can be examined: code, a card, a configuration, a tokenizer, an
    index or weights."""
    source = open_source(spec)
    found = _Found(source, {file.path: file for file in source.listing().files})
    return any(
        is_config(file.name) or file.name in TOKENIZER_NAMES or _EXAMINED.fullmatch(file.name)
        for file in found.files.values()
    ) or bool(_weights(found))


def heads(spec: dict[str, Json]) -> dict[str, int]:
    """For each weight file that can be read, by path, the length of its header in bytes."""
    source = open_source(spec)
    found = _Found(source, {file.path: file for file in source.listing().files})
    lengths: dict[str, int] = {}
    for path, kind in _weights(found).items():
        if kind == "PyTorch":
            continue  # what describes its tensors lies at both of its ends
        entries = _headers(found, [path]).get(path)
        opened = source.head(path) if entries is not None else None
        if entries is not None and opened is not None:
            opened[0].close()
            lengths[path] = min((e.start for e in entries if e.start is not None), default=opened[1])
    return lengths


def foreign(spec: dict[str, Json]) -> dict[str, list[str]]:
    """For each PyTorch file, by path, the globals that its pickles name and no saved tensor needs, each once.
    Nothing is run; ``tensors`` tells what could not be read."""
    source = open_source(spec)
    found = _Found(source, {file.path: file for file in source.listing().files})
    named: dict[str, list[str]] = {}
    for path in [path for path, kind in _weights(found).items() if kind == "PyTorch"][:MOST_PICKLES]:
        try:
            opened = source.open(path)
            if opened is None:
                continue
            with opened[0] as stream:
                globals_ = read_torch(stream, opened[1], path).foreign
        except (Refusal, OSError):
            continue
        if globals_:
            named[path] = list(dict.fromkeys(g.name for g in globals_))
    return named


def _index(found: _Found) -> Tensors | None:
    for path in shallowest(path for path in found.files if _INDEX.fullmatch(path)):
        try:
            data = read_whole(found.source, path, LARGEST_INDEX)
            if data is None:
                found.faults.append(absent(found.files[path]))
                continue
            return read_index(data, path)
        except (Refusal, OSError) as error:
            found.refuse(error, path)
    return None


def _indexed(found: _Found, index: Tensors) -> Tensors:
    """An index joined with whatever shards are here. A shard that is listed in the index but not among the
    files is a fault, unless none is: then only the index was published."""
    shards = list(dict.fromkeys(entry.file for entry in index.entries))
    here = [shard for shard in shards if shard in found.files]
    if not here:
        found.faults.append(note("tensors.index_alone", index.path, n=len(shards)))
        return index
    for shard in shards:
        if shard not in found.files:
            found.faults.append(fault("tensors.no_shard", shard, index=index.path))
    headers = _headers(found, sorted(here))
    joined, faults = join_shards(headers, index, found.metadata or index.metadata)
    found.faults += faults
    return joined


def _weights(found: _Found) -> dict[str, str]:
    """The files that hold tensors, by path, and their format, told by content where there is any."""
    kinds: dict[str, str] = {}
    unread: list[str] = []
    for path in sorted(found.files):
        if path.lower().endswith(_TEXT):
            continue
        named = _named(path)
        kind = _sniff(found, path, report=named is not None)
        telling = named is not None and (named != "PyTorch" or "model" in path.rpartition("/")[2])
        if kind == "absent" and not telling:  # anything may be called .bin
            continue
        if named is not None and (kind == "absent" or (kind is None and telling)):
            kind = named  # its reader says what is wrong with it
        elif telling and kind not in (named, "unreadable"):
            found.faults.append(fault("tensors.other_kind", path, kind=str(kind), named=str(named)))
        elif named is None and (kind == "pickle" or path.lower().endswith(_UNREAD)):
            unread.append(path)
        if kind in _FORMATS:
            kinds[path] = str(kind)
    if unread:
        found.faults.append(note("tensors.unread", unread[0], n=len(unread)))
    return kinds


def _named(path: str) -> str | None:
    """The format whose name a file bears."""
    return next((kind for kind, ends in _FORMATS.items() if path.lower().endswith(ends)), None)


def _sniff(found: _Found, path: str, *, report: bool) -> str | None:
    try:
        opened = found.source.head(path)
        if opened is None:
            return "absent"
        with opened[0] as stream:
            return weight_kind(stream.read(512), path)
    except (Refusal, OSError) as error:
        if report:
            found.refuse(error, path)
        return "unreadable"


def _one_checkpoint(paths: Sequence[str]) -> list[str]:
    """Of all weight files those of the first checkpoint: the shallowest folder's ``model`` file or files,
    else its first series of parts, else its first file."""
    paths = [path for path in paths if not _STATE.fullmatch(path)] or paths
    if not paths:
        return []
    folder = shallowest(paths)[0].rpartition("/")[0]
    inside = sorted(path for path in paths if path.rpartition("/")[0] == folder)
    series: dict[tuple[str, str], list[str]] = {}
    for path in inside:
        part = _PART.fullmatch(path.rpartition("/")[2])
        series.setdefault((part[1], part[4]) if part else (path, ""), []).append(path)
    whole = [names for names in series.values() if names[0].rpartition("/")[2].startswith(_MODEL)]
    return (whole or list(series.values()))[0]


def _name_others(found: _Found, weights: Iterable[str], taken: Collection[str]) -> None:
    """Weights of another checkpoint are not examined, and the report says so."""
    others = [path for path in weights if path not in taken and not _STATE.fullmatch(path)]
    if others:
        found.faults.append(note("tensors.others", others[0], n=len(others)))


def _check_complete(found: _Found, chosen: Collection[str]) -> None:
    """Every part that a series announces, by its names or in its header, must be among the files."""
    for path in chosen:
        part = _PART.fullmatch(path)
        if part is None or part[3] is None:
            break
        count = int(part[3])
        for number in range(1, count + 1):
            name = f"{part[1]}-{number:05d}-of-{part[3]}{part[4]}"
            if name not in found.files:
                found.faults.append(fault("tensors.no_part", name, n=number, count=count))
                return
    announced = found.metadata.get("split.count")
    if isinstance(announced, int) and announced not in (0, len(chosen)):
        found.faults.append(fault("tensors.split", min(chosen), n=len(chosen), count=announced))


def _headers(found: _Found, paths: Iterable[str]) -> dict[str, tuple[TensorInfo, ...]]:
    headers: dict[str, tuple[TensorInfo, ...]] = {}
    for path in paths:
        try:
            opened = found.source.head(path)
            if opened is None:
                if found.files[path].content is not Content.REFUSED:  # the listing says why
                    found.faults.append(absent(found.files[path]))
                continue
            with opened[0] as stream:
                headers[path] = _header(found, stream, opened[1], path)
        except (Refusal, OSError) as error:
            found.refuse(error, path)
    return headers


def _header(found: _Found, stream: BinaryIO, size: int, path: str) -> tuple[TensorInfo, ...]:
    kind = weight_kind(stream.read(512), path) or _named(path)
    stream.seek(0)
    if kind == "PyTorch":
        saved = read_torch(stream, size, path)
        found.faults += saved.unexamined
        return saved.entries
    if kind == "GGUF":
        gguf = read_gguf(stream, size, path)
        found.metadata |= short_metadata(gguf.metadata)
        return gguf.entries
    header = read_safetensors(stream, size, path)
    found.metadata |= header.metadata
    return header.entries
