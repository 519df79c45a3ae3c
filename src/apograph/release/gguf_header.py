"""The header of a GGUF file (versions 2 and 3, little-endian), read strictly.

Layout (ggml's docs/gguf.md): magic, version, counts, key-value pairs, tensor infos, padding to
``general.alignment``, data. As ggml itself, and unlike gguf-py, this refuses tensors that are unaligned, that
overlap, or that leave bytes between them undeclared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from apograph.findings import Json
from apograph.release.gguf_fields import UINT32, Fields
from apograph.release.refuse import refuse
from apograph.release.safetensors_header import MAX_TENSORS, element_count
from apograph.release.types import TensorInfo

MAX_KEY = 65_535  # the format's own limit
MAX_DIMS = 4
MAX_SHORT = 64
_LEAST_PAIR = 8 + 4 + 1
_LEAST_TENSOR = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """``entries`` in the file's order: shapes as PyTorch has them (slowest dimension first, the reverse of
    the file's), offsets absolute in the file. ``metadata`` holds every key-value pair, arrays as lists."""

    entries: tuple[TensorInfo, ...]
    metadata: Mapping[str, Json]
    version: int


def short_metadata(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """``metadata`` without long arrays (the vocabulary, above all)."""
    return {k: v for k, v in metadata.items() if not isinstance(v, list) or len(v) <= MAX_SHORT}


@cache
def block_sizes() -> dict[int, tuple[str, int, int]]:
    """Type number to (name, elements of a block, bytes of a block), from the gguf package's table."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    return {t.value: (t.name, *GGML_QUANT_SIZES[t]) for t in GGMLQuantizationType if t in GGML_QUANT_SIZES}


def read_header(stream: BinaryIO, size: int, path: str = "") -> GgufHeader:
    """The header of the file of ``size`` bytes at whose start ``stream`` stands.

    Raises Refusal 2 for a malformed file (big-endian ones included), 5 for metadata over 256 MiB, more than
    two million array elements or more than 200,000 tensors.
    """
    fields = Fields(stream, size, path)
    if size < 24 or fields.take(4) != b"GGUF":
        raise refuse("gguf.magic", path, 0)
    version = fields.u32()
    if version not in (2, 3):
        big_endian = int.from_bytes(version.to_bytes(4, "little"), "big") in (2, 3)
        raise refuse("gguf.big-endian" if big_endian else "gguf.version", path, 4, version=version)
    tensors, pairs = fields.u64(), fields.u64()
    fields.need(pairs, _LEAST_PAIR)
    metadata, alignment = _metadata(fields, pairs)
    fields.need(tensors, _LEAST_TENSOR)
    if tensors > MAX_TENSORS:
        raise refuse("tensors.many", path, code=5, n=tensors, limit=MAX_TENSORS)
    found: dict[str, TensorInfo] = {}
    for _ in range(tensors):
        info = _tensor(fields, path)
        if info.name in found:
            raise fields.refusal("duplicate-tensor", name=info.name)
        found[info.name] = info
    start = _aligned(fields.position, alignment)
    return GgufHeader(_placed(found, start, size, alignment, path), metadata, version)


def _metadata(fields: Fields, pairs: int) -> tuple[dict[str, Json], int]:
    metadata: dict[str, Json] = {}
    alignment = 32
    for _ in range(pairs):
        key = fields.string(MAX_KEY)
        if key in metadata:
            raise fields.refusal("duplicate-key", name=key)
        kind = fields.u32()
        metadata[key] = value = fields.value(kind)
        if key == "general.alignment":
            if kind != UINT32 or not isinstance(value, int) or value < 1 or value & (value - 1):
                raise fields.refusal("alignment")
            alignment = value
    return metadata, alignment


def _tensor(fields: Fields, path: str) -> TensorInfo:
    """A tensor info; its ``start`` is still relative to the data section."""
    name = fields.string(MAX_KEY)
    dims = fields.u32()
    if dims > MAX_DIMS:
        raise fields.refusal("dims", name=name, n=dims, limit=MAX_DIMS)
    shape = tuple(fields.u64() for _ in range(dims))
    kind, offset = fields.u32(), fields.u64()
    if kind not in block_sizes():
        raise refuse("tensors.dtype", path, fields.position, name=name, dtype=str(kind))
    dtype, elements, size = block_sizes()[kind]
    count = element_count(shape)
    if count is None or (shape[0] if shape else 1) % elements:
        raise refuse("tensors.size", path, fields.position, name=name)
    return TensorInfo(name, shape[::-1], dtype, path, offset, offset + count // elements * size)


def _aligned(n: int, alignment: int) -> int:
    return -(-n // alignment) * alignment


def _placed(
    found: Mapping[str, TensorInfo], start: int, size: int, alignment: int, path: str
) -> tuple[TensorInfo, ...]:
    """The infos with absolute offsets, after checking that they tile the data section."""
    position, previous = 0, ""
    for info in sorted(found.values(), key=lambda e: (e.start or 0, e.stop or 0)):
        begin, end = info.start or 0, info.stop or 0
        if begin % alignment:
            raise refuse("gguf.unaligned", path, start + begin, name=info.name, alignment=alignment)
        if start + end > size:
            raise refuse("tensors.outside", path, name=info.name)
        if begin < position:
            raise refuse("tensors.overlap", path, start + begin, name=info.name, other=previous)
        if begin > _aligned(position, alignment):
            raise refuse("tensors.undeclared", path, start + position, n=begin - position)
        position, previous = end, info.name
    if size > start + _aligned(position, alignment):
        raise refuse("tensors.undeclared", path, start + position, n=size - start - position)
    return tuple(
        TensorInfo(e.name, e.shape, e.dtype, path, start + (e.start or 0), start + (e.stop or 0))
        for e in found.values()
    )
