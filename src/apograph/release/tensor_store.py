"""Tensor data behind one interface, whatever the format: ``open_store``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Json, Refusal, Unexamined
from apograph.release import gguf_header, safetensors_header
from apograph.release.archive import ArchiveSource
from apograph.release.byte_file import ByteFile
from apograph.release.content_kind import TORCH, content_kind
from apograph.release.elements import Bytes, Values
from apograph.release.file_store import FileStore
from apograph.release.folder import FolderSource
from apograph.release.json_text import parse_json
from apograph.release.lora_store import CONFIG, lora_store
from apograph.release.opened import Opened
from apograph.release.packed_store import unpacked
from apograph.release.refuse import refuse
from apograph.release.source import Source, read_whole
from apograph.release.tensor_index import join_shards, read_index
from apograph.release.torch_file import read_torch
from apograph.release.torch_store import TorchStore
from apograph.release.types import Content, Release, TensorInfo

_FORMATS = ((".safetensors",), (".gguf",), TORCH)
_NAMED = {".safetensors": "safetensors", ".gguf": "GGUF"}
"""What a file of no known kind is read as: its reader says what is wrong with it."""


class TensorStore(Protocol):
    """The tensors of one checkpoint, readable in blocks from any number of threads."""

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """Every tensor by name, in the checkpoint's order. A quantised weight stands as one tensor."""

    @property
    def unexamined(self) -> tuple[Unexamined, ...]:
        """What could not be read, and why. A tensor in ``infos`` that is named here has no values."""

    def dtype(self, name: str) -> str:
        """How the tensor is stored."""

    def block(self, name: str, start: int, stop: int) -> Values:
        """Values of the flat elements [start, stop) in C order: float32, or float64 where the storage is F64
        or integers of 32 bits and more. Raises Refusal for a type without values, or when the file changed
        its length; IndexError beyond the tensor."""

    def raw(
        self, name: str, start: int, stop: int, out: Bytes | None = None
    ) -> NDArray[np.unsignedinteger] | None:
        """The same elements as stored: unsigned integers of the element's width, or bytes [blocks, size] of
        the blocks that hold them, where a type packs several elements. In ``out`` (bytes, long enough) where
        given. None for a tensor that is computed from others (quantised layouts, adapters)."""

    def check(self) -> None:
        """Raise Refusal 2 when a file changed since it was opened. To be called after reading."""

    def close(self) -> None:
        """Close all files."""


def open_store(target: Release | str | os.PathLike[str], base: TensorStore | None = None) -> TensorStore:
    """Open the tensors of a release, or of a file or folder on disk: safetensors, GGUF, PyTorch files.

    A folder's checkpoint is, in this order: what its index lists, its safetensors files, GGUF, PyTorch. With
    ``base``, a folder that holds a LoRA adapter opens as that base with the adapter applied.
    Raises Refusal 3 when nothing supported is found or the weights are not plain files, 2 when a header is
    broken, 5 beyond a limit. What only concerns some tensors is in ``unexamined``.
    """
    place = _of_release(target) if not isinstance(target, (str, os.PathLike)) else _of_path(os.fspath(target))
    store = place.open()
    adapter = place.json(CONFIG)
    if base is not None and adapter:
        return lora_store(store, base, adapter)
    return unpacked(store, place.json("config.json"))


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder or an archive (``source`` opens it for the sake of one path), the paths in it that hold the
    weights, and its index."""

    source: Callable[[str], Source]
    paths: tuple[str, ...]
    index: str | None = None

    def open(self) -> FileStore:
        """All files as one store. Raises Refusal where one is absent, not a known kind or broken."""
        headers: dict[str, tuple[TensorInfo, ...]] = {}
        files: dict[str, ByteFile] = {}
        strides: dict[str, tuple[int, ...]] = {}
        gaps: list[Unexamined] = []
        for path in self.paths:
            opened = self.source(path).open(path)
            if opened is None:
                raise refuse("store.absent", path)
            stream, size = opened
            files[path] = ByteFile(stream, path)
            kind = content_kind(stream.read(512)) or _NAMED.get(os.path.splitext(path)[1].lower())
            stream.seek(0)
            if kind in ("zip", "pickle"):
                found = read_torch(stream, size, path)
                headers[path] = found.entries
                strides.update(found.strides)
                gaps += found.unexamined
            elif kind == "GGUF":
                headers[path] = gguf_header.read_header(stream, size, path).entries
            elif kind == "safetensors":
                headers[path] = safetensors_header.read_header(stream, size, path).entries
            else:
                raise refuse("store.kind", path, code=3, kind=kind or "?")
        index = None
        if self.index is not None:
            data = _content(self.source, self.index)
            index = read_index(data, self.index) if data is not None else None
        joined, faults = join_shards(headers, index)
        gaps += faults
        if strides:
            return TorchStore(joined.entries, files, gaps, strides)
        return FileStore(joined.entries, files, gaps)

    def json(self, name: str) -> Mapping[str, Json]:
        """A JSON object beside the weights; {} when there is none that can be read."""
        folder = os.path.dirname(self.index or self.paths[0])
        path = f"{folder}/{name}" if folder else name
        try:
            data = _content(self.source, path)
            value = parse_json(data, path) if data is not None else {}
        except (Refusal, OSError):
            return {}
        return value if isinstance(value, dict) else {}


def _content(source: Callable[[str], Source], path: str) -> bytes | None:
    return read_whole(source(path), path, 64 << 20)


def _folder(root: str, blobs: str | None = None) -> Callable[[str], Source]:
    """A folder is walked for one path only: it may hold a hundred thousand others."""
    return lambda path: FolderSource(root, blobs, only=path)


def _of_release(release: Release) -> _Place:
    spec = release.spec if isinstance(release, Opened) else {}
    archive: ArchiveSource | None = None
    source: Callable[[str], Source]
    if spec.get("kind") == "folder":
        blobs = spec.get("blobs")
        source = _folder(str(spec["path"]), None if blobs is None else str(blobs))
    elif spec.get("kind") == "archive":
        archive = ArchiveSource(str(spec["path"]), str(spec["revision"]) if spec.get("revision") else None)
        source = lambda path: archive  # noqa: E731
    else:
        raise refuse("store.not-files", release.ref, code=3)
    tensors = release.tensors
    present = {file.path for file in release.files if file.content is Content.PRESENT}
    if tensors is not None:
        paths = tuple(p for p in dict.fromkeys(e.file for e in tensors.entries) if p in present)
        index = tensors.path if tensors.path.endswith(".json") else None
    else:
        paths, index = _chosen(present), None
    if not paths:
        raise refuse("store.nothing", release.ref, code=3)
    if archive is not None:
        for path in paths:
            archive.check_weights(path)
    return _Place(source, paths, index)


def _of_path(path: str) -> _Place:
    if not os.path.isdir(path):
        folder, name = os.path.split(os.path.realpath(path))
        return _Place(_folder(folder), (name,))
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    source = _folder(os.path.realpath(path))
    for name in names:
        if name.endswith(".index.json"):
            data = _content(source, name)
            shards = dict.fromkeys(e.file for e in read_index(data or b"", name).entries)
            return _Place(source, tuple(shards), name)
    paths = _chosen(names)
    if not paths:
        raise refuse("store.nothing", path, code=3)
    return _Place(source, paths)


def _chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The files of the first format that is there, those in the folder nearest to the root."""
    for suffixes in _FORMATS:
        found = sorted(name for name in names if name.endswith(suffixes))
        if found:
            depth = min(name.count("/") for name in found)
            return tuple(name for name in found if name.count("/") == depth)
    return ()
