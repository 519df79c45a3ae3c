"""The tensors of a PyTorch file (zip or legacy), located without unpickling it.

Zip (torch.save since 1.6): ``<name>/data.pkl`` describes, ``<name>/data/<key>`` holds the storages. Legacy:
five pickles (magic number, protocol, system, the object, the storages' keys), then for every key the number
of elements in eight bytes and the elements.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from apograph.findings import Unexamined
from apograph.release.content_kind import content_kind
from apograph.release.pickle_walk import Foreign, StorageRef, TensorRef, Walk, walk
from apograph.release.refuse import refuse
from apograph.release.safetensors_header import BITS, MAX_TENSORS, element_count
from apograph.release.types import TensorInfo
from apograph.release.zip_members import Member, read_members

MAX_PICKLE = 64 << 20
MAX_DEPTH = 32
MAX_VISITS = 1_000_000
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True, slots=True)
class TorchFile:
    """``entries`` in the object's order, nested names joined by dots; offsets absolute in the file.
    ``strides`` (in elements) of those tensors that do not lie in C order; ``stop`` ends the bytes used.
    ``foreign`` lists every global beyond the allow-list: from the first on, tensors are not examined."""

    entries: tuple[TensorInfo, ...]
    strides: Mapping[str, tuple[int, ...]]
    foreign: tuple[Foreign, ...]
    unexamined: tuple[Unexamined, ...]


def read_torch(stream: BinaryIO, size: int, path: str = "") -> TorchFile:
    """Locate the tensors of the file of ``size`` bytes at whose start ``stream`` stands.

    Raises Refusal 2 for a broken zip and for anything but a file of torch.save, 5 over a limit.
    """
    head = stream.read(512)
    kind = content_kind(head)
    found = _Found(path)
    if kind == "zip":
        _read_zip(found, stream, size)
    elif kind == "pickle":
        stream.seek(0)
        _read_legacy(found, io.BytesIO(stream.read(min(size, MAX_PICKLE))), stream, size)
    else:
        raise refuse("torch.other", path, 0, kind=kind or "?")
    return TorchFile(tuple(found.entries), found.strides, tuple(found.foreign), tuple(found.unexamined))


class _Found:
    def __init__(self, path: str) -> None:
        self.path = path
        self.entries: list[TensorInfo] = []
        self.strides: dict[str, tuple[int, ...]] = {}
        self.foreign: list[Foreign] = []
        self.unexamined: list[Unexamined] = []

    def fault(self, key: str, name: str = "", n: int = 0) -> None:
        message = refuse(f"torch.{key}", self.path, name=name, n=n).message
        self.unexamined.append(Unexamined("weights", message, path=self.path, fault=True))

    def see(self, walked: Walk) -> None:
        """What a walk says besides its value."""
        self.foreign += walked.foreign
        if walked.foreign:
            self.fault("foreign", name=walked.foreign[0].name, n=len(walked.foreign))
        if not walked.complete:
            self.fault("truncated")

    def place(self, walked: Walk, storages: Mapping[str, tuple[int, int]]) -> None:
        """Enter the tensors that the object names, over storages given as (start, size) in the file."""
        limit = min((f.offset for f in walked.foreign), default=None)
        seen: set[str] = set()
        for name, tensor in _flat(walked.value, self.path):
            if name in seen:
                self.fault("twice", name=name)
                continue
            seen.add(name)
            if len(seen) > MAX_TENSORS:
                raise refuse("tensors.many", self.path, code=5, n=len(seen), limit=MAX_TENSORS)
            if limit is not None and tensor.at > limit:
                continue  # said once, by ``see``
            self._enter(name, tensor, storages)

    def _enter(self, name: str, tensor: TensorRef, storages: Mapping[str, tuple[int, int]]) -> None:
        width = BITS.get(tensor.dtype, 0) // 8
        start, size = storages.get(tensor.storage.key, (0, -1))
        count = element_count(tensor.shape)
        if not width or size < 0 or count is None:
            self.fault("storage", name=name)
            return
        pairs = list(zip(tensor.shape, tensor.stride, strict=True))
        last = tensor.offset + sum((n - 1) * step for n, step in pairs) if count else tensor.offset - 1
        if (last + 1) * width > min(size, tensor.storage.numel * _width(tensor.storage)):
            self.fault("bounds", name=name)
            return
        if count and not _contiguous(pairs):
            self.strides[name] = tensor.stride
        begin = start + tensor.offset * width
        stop = start + (last + 1) * width
        self.entries.append(TensorInfo(name, tensor.shape, tensor.dtype, self.path, begin, stop))


def _width(storage: StorageRef) -> int:
    return BITS[storage.dtype] // 8 if storage.dtype else 1


def _contiguous(pairs: list[tuple[int, int]]) -> bool:
    expected = 1
    for n, step in reversed(pairs):
        if n != 1 and step != expected:
            return False
        expected *= n
    return True


def _flat(value: Any, path: str) -> Iterator[tuple[str, TensorRef]]:
    """The tensors in nested dicts and lists, in order. Shared containers count at every visit."""
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    visits = 0
    while waiting:
        name, item, depth = waiting.pop()
        visits += 1
        if visits + len(waiting) > MAX_VISITS or depth > MAX_DEPTH:
            raise refuse("torch.nested", path, code=5, limit=MAX_VISITS)
        if isinstance(item, TensorRef):
            yield name or "tensor", item
        elif isinstance(item, (dict, list, tuple)):
            if len(item) > MAX_VISITS:
                raise refuse("torch.nested", path, code=5, limit=MAX_VISITS)
            inner = item.items() if isinstance(item, dict) else enumerate(item)
            pairs = [(f"{name}.{key}" if name else str(key), child, depth + 1) for key, child in inner]
            waiting += reversed(pairs)


def _read_zip(found: _Found, stream: BinaryIO, size: int) -> None:
    members = read_members(stream, size, found.path)
    main = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if any(name.endswith(".npy") for name in members) and not main:
        raise refuse("torch.numpy", found.path, code=3)
    prefix = main[0].removesuffix("data.pkl") if len(main) == 1 else "/"
    storages = {
        name.removeprefix(f"{prefix}data/"): (member.start, member.size)
        for name, member in members.items()
        if name.startswith(f"{prefix}data/")
    }
    if f"{prefix}byteorder" in members and _member(stream, members[f"{prefix}byteorder"]) == b"big":
        raise refuse("torch.big-endian", found.path)
    for name, member in members.items():
        if name in main or not name.startswith(f"{prefix}data/"):
            _read_pickle(found, stream, name, member, storages if [name] == main else None)
    if len(main) != 1:
        found.fault("form")


def _member(stream: BinaryIO, member: Member) -> bytes:
    stream.seek(member.start)
    return stream.read(member.size)


def _read_pickle(
    found: _Found, stream: BinaryIO, name: str, member: Member, storages: Mapping[str, tuple[int, int]] | None
) -> None:
    """Walk a member that is a pickle by its content; the main one (with ``storages``) gives the tensors."""
    stream.seek(member.start)
    is_pickle = content_kind(stream.read(min(member.size, 512)))
    if storages is None and is_pickle != "pickle":
        return
    if member.size > MAX_PICKLE:
        raise refuse("torch.pickle-size", found.path, code=5, limit=MAX_PICKLE)
    data = _member(stream, member)
    if zlib.crc32(data) != member.crc:
        found.fault("checksum", name=name)
    body = io.BytesIO(data)
    walked = walk(body, found.path)
    found.see(walked)
    while walked.complete and body.tell() < len(data):
        found.fault("after-stop", n=len(data) - body.tell())
        more = walk(body, found.path)
        found.foreign += more.foreign
        walked.complete = more.complete
    if storages is not None:
        found.place(walked, storages)


def _read_legacy(found: _Found, body: io.BytesIO, stream: BinaryIO, size: int) -> None:
    magic = walk(body, found.path)
    if magic.value != _LEGACY_MAGIC:
        found.see(magic)
        found.fault("form")
        return
    for _ in range(2):  # protocol, system
        found.see(walk(body, found.path))
    main = walk(body, found.path)
    found.see(main)
    keys = walk(body, found.path)
    found.see(keys)
    if not main.complete or not isinstance(keys.value, list):
        found.fault("form")
        return
    refs = {tensor.storage.key: tensor.storage for _, tensor in _flat(main.value, found.path)}
    storages: dict[str, tuple[int, int]] = {}
    at = keys.end
    for key in keys.value:
        ref = refs.get(key) if isinstance(key, str) else None
        stream.seek(at)
        numel = int.from_bytes(stream.read(8), "little")
        if ref is None or ref.numel != numel or at + 8 + numel * _width(ref) > size or key in storages:
            found.fault("storage", name=str(key))
            break
        storages[key] = (at + 8, numel * _width(ref))
        at += 8 + numel * _width(ref)
    found.place(main, storages)
