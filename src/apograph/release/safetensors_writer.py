"""A checkpoint written as safetensors: piece by piece, resumable, and under its name only when it is whole.

The folder is made beside its place as ``<folder>.part``, with a note of what has reached the disk. The same
job started again goes on from there; when everything is written and synced, the folder is renamed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, BinaryIO

from numpy.typing import NDArray

from apograph.findings import Message, Param, Refusal
from apograph.release.safetensors_header import BITS

LARGEST_SHARD = 5 << 30
PIECE = 1 << 20
"""Elements asked for at once."""
SAVE_EVERY = 5.0
"""Seconds between two points from which the work can go on."""
_STATE = "unfinished.json"

Progress = Callable[[int, int, float], None]
"""Called with the bytes done, all bytes, and the seconds since the start."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor to be written; ``source`` is what the reader knows it by, ``dtype`` a type of whole bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: str

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return BITS[self.dtype] // 8

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return self.width * prod(self.shape)


Read = Callable[[Planned, int, int], NDArray[Any]]
"""Elements [start, stop) of a tensor as they are to be stored."""


@dataclass(slots=True)
class _Shard:
    name: str
    header: bytes
    tensors: tuple[Planned, ...]

    @property
    def size(self) -> int:
        return len(self.header) + sum(t.size for t in self.tensors)


@dataclass(slots=True)
class _Work:
    """The unfinished folder: how many bytes of each file are safely on the disk."""

    folder: str
    job: str
    all: int
    progress: Progress | None
    done: dict[str, int] = field(default_factory=dict)
    at: int = 0
    began: float = field(default_factory=time.monotonic)

    def save(self) -> None:
        """Note what is on the disk."""
        put(os.path.join(self.folder, _STATE), json.dumps({"job": self.job, "done": self.done}).encode())

    def tell(self, n: int) -> None:
        """``n`` more bytes were written."""
        self.at += n
        if self.progress is not None:
            self.progress(self.at, self.all, time.monotonic() - self.began)


def write_checkpoint(
    folder: str,
    plan: Sequence[Planned],
    read: Read,
    *,
    job: str,
    beside: Mapping[str, bytes] | None = None,
    check: Callable[[], None] = lambda: None,
    largest: int = LARGEST_SHARD,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write ``plan`` to the new ``folder``; its weight files are returned.

    ``job`` says what is done with which source, so that only the same work is resumed. ``beside`` are small
    files that go with the weights. ``check`` is called when all is written and may still refuse. Raises
    Refusal 4 when the folder exists, cannot be made, or another job's unfinished folder lies there; 5 when
    the disk has no room.
    """
    part = os.path.realpath(folder) + ".part"
    shards = _shards(plan, largest)
    digest = hashlib.sha256(json.dumps([job, [shard.header.hex() for shard in shards]]).encode()).hexdigest()
    work = _Work(part, digest, sum(shard.size for shard in shards), progress)
    if os.path.lexists(folder):
        raise _refuse(4, "write.exists", folder)
    try:
        _begin(work, folder)
        for shard in shards:
            _write(work, shard, read)
        check()
        for name, data in (beside or {}).items():
            put(os.path.join(part, name), data)
        if len(shards) > 1:
            put(os.path.join(part, "model.safetensors.index.json"), _index(shards))
        os.unlink(os.path.join(part, _STATE))
        _sync(part)
        os.rename(part, folder)
        _sync(os.path.dirname(part))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise _refuse(5 if full else 4, "write.system", folder, reason=error.strerror or "") from None
    return tuple(shard.name for shard in shards)


def _begin(work: _Work, folder: str) -> None:
    """Make the unfinished folder, or find it as this very job left it."""
    try:
        os.mkdir(work.folder)
    except FileExistsError:
        try:
            with open(os.path.join(work.folder, _STATE), "rb") as stream:
                state = json.load(stream)
        except (OSError, ValueError):
            state = {}
        if not isinstance(state, dict) or state.get("job") != work.job:
            raise _refuse(4, "write.other", work.folder) from None
        work.done = {str(name): int(n) for name, n in state["done"].items()}
    needed = work.all - sum(work.done.values())
    free = shutil.disk_usage(work.folder).free
    if needed > free:
        if not work.done:
            os.rmdir(work.folder)
        raise _refuse(5, "write.room", folder, needed=needed, free=free)
    work.save()


def _write(work: _Work, shard: _Shard, read: Read) -> None:
    """Write one file from where it was left."""
    path = os.path.join(work.folder, shard.name)
    start = work.done.get(shard.name, 0)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "wb") as stream:
        stream.truncate(start)
        stream.seek(start)
        work.tell(start)
        saved = time.monotonic()
        try:
            for piece in _pieces(shard, read, start):
                stream.write(piece)
                work.tell(len(piece))
                if time.monotonic() - saved >= SAVE_EVERY:
                    _keep(work, shard.name, stream)
                    saved = time.monotonic()
        finally:  # also when interrupted
            _keep(work, shard.name, stream)


def _keep(work: _Work, name: str, stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    work.done[name] = stream.tell()
    work.save()


def _pieces(shard: _Shard, read: Read, start: int) -> Iterator[memoryview]:
    """The bytes of a file from ``start`` on, where an element begins (or the header has not ended)."""
    if start < len(shard.header):
        yield memoryview(shard.header)[start:]
    at = len(shard.header)
    for tensor in shard.tensors:
        count, width = tensor.size // tensor.width, tensor.width
        first = max(start - at, 0)
        for begin in range(first // width, count, PIECE):
            stop = min(begin + PIECE, count)
            data = read(tensor, begin, stop).data.cast("B")
            if len(data) != (stop - begin) * width:
                raise ValueError(f"{tensor.name}: {len(data)} bytes for {stop - begin} elements")
            yield data
        at += tensor.size


def _shards(plan: Sequence[Planned], largest: int) -> list[_Shard]:
    """The files: as few as fit, every tensor whole in one of them."""
    groups: list[list[Planned]] = [[]]
    size = 0
    for tensor in plan:
        if groups[-1] and size + tensor.size > largest:
            groups.append([])
            size = 0
        groups[-1].append(tensor)
        size += tensor.size
    count = len(groups)
    names = [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)]
    if count == 1:
        names = ["model.safetensors"]
    return [_Shard(n, _header(group), tuple(group)) for n, group in zip(names, groups, strict=True)]


def _header(tensors: Sequence[Planned]) -> bytes:
    """The header, filled up with spaces so that the data begins at a multiple of 8 bytes."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for t in tensors:
        entries[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, at + t.size]}
        at += t.size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _index(shards: Sequence[_Shard]) -> bytes:
    total = sum(tensor.size for shard in shards for tensor in shard.tensors)
    places = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
    return (json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2) + "\n").encode()


def put(path: str, data: bytes) -> None:
    """Write a small file whole: under another name first, synced, renamed."""
    temporary = f"{path}.new"
    with open(temporary, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse(code: int, key: str, path: str, **params: Param) -> Refusal:
    return Refusal(code, Message(key, params), path)
