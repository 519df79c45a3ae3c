"""Weights on disk: read in pieces from a release that ``release`` has checked, and written as safetensors.

No piece is larger than 16 MiB (or one row), so reading costs no more memory than what is built from it.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from apograph.findings import Message, Refusal
from apograph.release.types import TensorInfo

PIECE = 16 << 20
DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "U8": torch.uint8,
}
_SPELLING = {dtype: name for name, dtype in DTYPES.items()}


class Reader:
    """Tensors of one folder by name, each read in pieces of whole rows."""

    def __init__(self, folder: Path, entries: Mapping[str, TensorInfo]) -> None:
        self.folder = folder
        self.entries = entries

    def pieces(self, name: str) -> Iterator[tuple[int, Tensor]]:
        """(first row, rows (n, ...)) of a tensor, in order; a tensor without dimensions is one row.

        Raises Refusal(3) for a type that is not read, Refusal(2) when the file ends too early.
        """
        info = self.entries[name]
        dtype = DTYPES.get(info.dtype or "")
        if dtype is None or info.shape is None or info.start is None or info.stop is None:
            raise Refusal(3, Message("minicpmv.refused.dtype", {"name": name, "dtype": str(info.dtype)}))
        rows = info.shape[0] if info.shape else 1
        size = (info.stop - info.start) // max(rows, 1)
        step = max(PIECE // max(size, 1), 1)
        with (self.folder / info.file).open("rb") as file:
            file.seek(info.start)
            for first in range(0, rows, step):
                count = min(step, rows - first)
                buffer = bytearray(count * size)
                if file.readinto(buffer) != len(buffer):
                    raise Refusal(2, Message("minicpmv.refused.short", {"name": name}), info.file)
                yield first, torch.frombuffer(buffer, dtype=dtype).reshape(count, *info.shape[1:])

    def whole(self, name: str, dtype: torch.dtype | None = None, device: str = "cpu") -> Tensor:
        """The tensor in its shape, converted piece by piece. Raises as ``pieces``."""
        info = self.entries[name]
        target = dtype or DTYPES.get(info.dtype or "", torch.float32)
        out = torch.empty(info.shape or (1,), dtype=target, device=device)
        for first, rows in self.pieces(name):
            out[first : first + len(rows)] = rows
        return out.reshape(info.shape or ())


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None  # another C library than glibc


def release_memory() -> None:
    """Give freed memory back to the system. Blocks that stay and blocks that go alternate while a model
    loads, and glibc would keep some of what was freed between them."""
    trim = _trim()
    if trim is not None:
        trim(0)


Source = tuple[str, torch.dtype, tuple[int, ...], Callable[[], Iterable[Tensor]]]
"""A tensor to be written: name, dtype, shape, and what yields its content in order."""


def write(path: Path, sources: Iterable[Source]) -> None:
    """Write one safetensors file, piece by piece. The header is padded so that the data is aligned to 8
    bytes."""
    sources = list(sources)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, dtype, shape, _ in sources:
        stop = start + dtype.itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": _SPELLING[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, dtype, _, pieces in sources:
            for piece in pieces():
                flat = piece.detach().to(dtype).contiguous().reshape(-1)
                file.write(flat.view(torch.uint8).numpy().data)


def tensor_source(name: str, tensor: Tensor) -> Source:
    """A tensor of any shape in memory as a :data:`Source`."""
    return name, tensor.dtype, tuple(tensor.shape), lambda: (tensor.cpu(),)
