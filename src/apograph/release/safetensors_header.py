"""The header of a safetensors file, read strictly.

Layout (the format's own README): eight bytes with the length N of the header (little-endian), N bytes of JSON
that begin with ``{``, then the data. The tensors must cover the data completely, without overlap. The
reference library lets several things pass that are refused here: duplicate names (it takes the last), leading
white space, and any number of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from apograph.release.content_kind import content_kind
from apograph.release.json_text import parse_json
from apograph.release.refuse import refuse
from apograph.release.types import TensorInfo

MAX_HEADER = 16 << 20
MAX_TENSORS = 200_000
FORMAT_MAX_HEADER = 100_000_000  # the format's own limit
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_FIELDS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """``entries`` in the header's order, offsets absolute in the file; ``metadata`` is ``__metadata__``."""

    entries: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]


def read_header(stream: BinaryIO, size: int, path: str = "") -> SafetensorsHeader:
    """The header of the file of ``size`` bytes at whose start ``stream`` stands.

    Raises Refusal 2 for a malformed file, 5 for a header over 16 MiB or more than 200,000 tensors. Never
    allocates by a declared size.
    """
    head = stream.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or size < 10:
        raise refuse("safetensors.short", path, size=size)
    if length > min(size - 8, FORMAT_MAX_HEADER):
        kind = content_kind(head + b"\0" * 8)
        if kind not in (None, "safetensors"):
            raise refuse("safetensors.other", path, 0, kind=str(kind))
        raise refuse("safetensors.length", path, 0, length=length, size=size)
    if length > MAX_HEADER:
        raise refuse("safetensors.header-size", path, 0, code=5, length=length, limit=MAX_HEADER)
    text = stream.read(length)
    if len(text) < length:
        raise refuse("safetensors.short", path, size=8 + len(text))
    if text[:1] != b"{":
        raise refuse("safetensors.first", path, 8)
    declared = parse_json(text, path, MAX_HEADER)
    assert isinstance(declared, dict)  # the text begins with a brace
    metadata = _metadata(declared.pop("__metadata__", {}), path)
    if len(declared) > MAX_TENSORS:
        raise refuse("tensors.many", path, code=5, n=len(declared), limit=MAX_TENSORS)
    start = 8 + length
    entries = tuple(_entry(name, entry, start, size, path) for name, entry in declared.items())
    check_coverage(entries, start, size, path)
    return SafetensorsHeader(entries, metadata)


def _metadata(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise refuse("safetensors.metadata", path)
    return value


def _entry(name: str, entry: Any, start: int, size: int, path: str) -> TensorInfo:
    if not isinstance(entry, dict) or not entry.keys() >= _FIELDS:
        raise refuse("safetensors.entry", path, name=name)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise refuse("safetensors.entry", path, name=name)
    if not isinstance(dtype, str) or dtype not in BITS:
        raise refuse("tensors.dtype", path, name=name, dtype=str(dtype))
    begin, end = offsets
    if not begin <= end <= size - start:
        raise refuse("tensors.outside", path, name=name)
    elements = element_count(shape)
    # Two comparisons, so that a product beyond the file is never carried further.
    if elements is None or elements * BITS[dtype] != (end - begin) * 8:
        raise refuse("tensors.size", path, start + begin, name=name)
    return TensorInfo(name, tuple(shape), dtype, path, start + begin, start + end)


def _naturals(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    for n in value:  # noqa: SIM110 - a generator per tensor doubles the time of a large header
        if type(n) is not int or not 0 <= n < 1 << 64:
            return False
    return True


def element_count(shape: list[int] | tuple[int, ...]) -> int | None:
    """The product of ``shape``, exactly; None from 2^63 on. One zero makes it 0, however large the rest."""
    if 0 in shape:
        return 0
    count = 1
    for n in shape:
        count *= n
        if count >= 1 << 63:
            return None
    return count


def check_coverage(entries: tuple[TensorInfo, ...], start: int, size: int, path: str) -> None:
    """Refuse overlapping tensors and bytes of the data section ``[start, size)`` that no tensor declares."""
    position, previous = start, ""
    for info in sorted(entries, key=lambda e: (e.start or 0, e.stop or 0)):
        begin, end = info.start or 0, info.stop or 0
        if begin < position:
            raise refuse("tensors.overlap", path, begin, name=info.name, other=previous)
        if begin > position:
            raise refuse("tensors.undeclared", path, position, n=begin - position)
        position, previous = end, info.name
    if position < size:
        raise refuse("tensors.undeclared", path, position, n=size - position)
