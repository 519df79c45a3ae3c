"""bitsandbytes: NF4 and FP4 with one or two levels of scales, and LLM.int8().

Four bits (functional.quantize_4bit, QuantState.as_dict): codes two to a byte, the first in the upper half;
value = quant_map[code] * absmax[i // blocksize]; when the scales are themselves quantised,
absmax = nested_quant_map[code] * nested_absmax[i // nested_blocksize] + nested_offset.
Eight bits (Int8Params): value = code * SCB[row] / 127.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from apograph.release.elements import Values
from apograph.release.file_store import FileStore
from apograph.release.json_text import parse_json
from apograph.release.packed_store import part, whole
from apograph.release.refuse import refuse
from apograph.release.safetensors_header import element_count
from apograph.release.types import TensorInfo

MAX_STATE = 1 << 16


@dataclass(frozen=True, slots=True)
class FourBits:
    """A weight of four-bit codes; ``nested`` is (blocksize, offset) of the quantised scales."""

    info: TensorInfo
    parts: tuple[str, ...]
    blocksize: int
    nested: tuple[int, float] | None

    def load(self, store: FileStore) -> tuple[Values, Values]:
        """The code book and the scale of every block."""
        name = self.info.name
        book = whole(store, f"{name}.quant_map").reshape(-1)
        scales = whole(store, f"{name}.absmax").reshape(-1)
        if self.nested is not None:
            size, offset = self.nested
            outer = np.repeat(whole(store, f"{name}.nested_absmax").reshape(-1), size)[: len(scales)]
            inner = whole(store, f"{name}.nested_quant_map").reshape(-1)
            scales = inner[scales.astype(np.uint8)] * outer + np.float32(offset)
        return book, scales

    def values(self, store: FileStore, loaded: tuple[Values, Values], start: int, stop: int) -> Values:
        """The flat elements [start, stop)."""
        book, scales = loaded
        first, last = start // 2, -(-stop // 2)
        data = store.raw(self.info.name, first, last)
        codes = np.stack([data >> 4, data & 15], axis=1).reshape(-1)[start - 2 * first : stop - 2 * first]
        block = np.arange(start, stop) // self.blocksize
        values: Values = book[codes] * scales[block]
        return values


def four_bits(store: FileStore, state: str) -> FourBits:
    """The weight that the tensor ``state`` (JSON as bytes) describes; Refusal when the parts do not fit."""
    name, _, scheme = state.rpartition(".quant_state.")
    file = store.infos[state].file
    _, (length,) = _vector(store, state, state, "U8")
    if length > MAX_STATE:
        raise refuse("packed.part", file, name=name, part=state)
    described = parse_json(store.raw(state, 0, length).tobytes(), file)
    settings: dict[str, Any] = described if isinstance(described, dict) else {}
    shape, blocksize = settings.get("shape"), settings.get("blocksize")
    count = element_count(shape) if _positive(shape) and isinstance(shape, list) else None
    if (
        count is None
        or not _positive([blocksize])
        or not isinstance(shape, list)
        or type(blocksize) is not int
    ):
        raise refuse("packed.part", file, name=name, part=state)
    info, stored = part(store, state, name, "U8")
    blocks = -(-count // blocksize)
    nested = None
    parts = [name, f"{name}.absmax", f"{name}.quant_map", state]
    fits = element_count(stored) == -(-count // 2) and _length(store, state, parts[2], "F32") == 16
    if "nested_blocksize" in settings:
        size, offset = settings["nested_blocksize"], settings.get("nested_offset", 0.0)
        if not _positive([size]) or not isinstance(offset, (int, float)):
            raise refuse("packed.part", file, name=name, part=state)
        nested = (size, float(offset))
        parts += [f"{name}.nested_absmax", f"{name}.nested_quant_map"]
        fits = fits and _length(store, state, parts[1], "U8") == blocks
        fits = fits and _length(store, state, parts[4], "F32") == -(-blocks // size)
        fits = fits and _length(store, state, parts[5], "F32") == 256
    else:
        fits = fits and _length(store, state, parts[1], "F32") == blocks
    if not fits:
        raise refuse("packed.shape", file, name=name)
    scheme = scheme.removeprefix("bitsandbytes__").upper()
    return FourBits(TensorInfo(name, tuple(shape), scheme, info.file), tuple(parts), blocksize, nested)


def _positive(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 < n < 1 << 48 for n in values)


def _vector(store: FileStore, owner: str, name: str, dtype: str) -> tuple[TensorInfo, tuple[int]]:
    info, shape = part(store, owner, name, dtype)
    return info, (element_count(shape) or 0,)


def _length(store: FileStore, owner: str, name: str, dtype: str) -> int:
    return _vector(store, owner, name, dtype)[1][0]


@dataclass(frozen=True, slots=True)
class EightBits:
    """A weight of eight-bit codes with one scale for each row."""

    info: TensorInfo
    parts: tuple[str, ...]

    def load(self, store: FileStore) -> Values:
        """The scale of every row."""
        return whole(store, self.parts[1]).reshape(-1) / np.float32(127)

    def values(self, store: FileStore, loaded: Values, start: int, stop: int) -> Values:
        """The flat elements [start, stop)."""
        columns = (self.info.shape or (1, 1))[1]
        values: Values = store.block(self.info.name, start, stop) * loaded[np.arange(start, stop) // columns]
        return values


def eight_bits(store: FileStore, scales: str) -> EightBits:
    """The weight whose row scales are the tensor ``scales``."""
    name = scales.removesuffix("SCB") + "weight"
    info, shape = part(store, scales, name, "I8")
    if len(shape) != 2 or _length(store, scales, scales, "F32") != shape[0]:
        raise refuse("packed.shape", info.file, name=name)
    flags = scales.removesuffix("SCB") + "weight_format"
    parts = (name, scales, *((flags,) if flags in store.infos else ()))
    return EightBits(TensorInfo(name, shape, "INT8", info.file), parts)
