"""How elements lie in storage, type by type: the block that is read at once, and its values.

Values come as float32, which holds every storage type of up to 16 bits and every 4- and 8-bit code exactly;
as float64 for F64 and for integers of 32 and 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = NDArray[Any]  # float32 or float64

_INTEGERS = {"I8": "i1", "U8": "u1", "BOOL": "u1", "I16": "<i2", "U16": "<u2"}
_WIDE = {"I32": "<i4", "U32": "<u4", "I64": "<i8", "U64": "<u8"}
_SMALL_FLOATS = {
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}


@dataclass(frozen=True, slots=True)
class ElementType:
    """``elements`` elements take ``size`` bytes; ``decode`` turns whole blocks of bytes into values."""

    elements: int
    size: int
    decode: Callable[[Bytes], Values]


@cache
def element_type(dtype: str) -> ElementType | None:
    """The type that a TensorInfo names, in the safetensors or the GGUF spelling; None for one whose values
    are not read (complex numbers, six-bit floats, GGUF types without a dequantiser)."""
    if dtype == "BF16":
        return ElementType(1, 2, _bfloat16)
    if dtype in ("F64", "F32", "F16"):
        width = int(dtype[1:]) // 8
        return ElementType(1, width, _cast(f"<f{width}", np.float64 if width == 8 else np.float32))
    for table, values in ((_INTEGERS, np.float32), (_WIDE, np.float64)):
        if dtype in table:
            return ElementType(1, np.dtype(table[dtype]).itemsize, _cast(table[dtype], values))
    if dtype in _SMALL_FLOATS:
        return ElementType(1, 1, _looked_up(_codes(_SMALL_FLOATS[dtype], 256)))
    if dtype == "F4":
        # Two to a byte, the first in the lower half, as torch.float4_e2m1fn_x2 has them.
        codes = _codes("float4_e2m1fn", 16)
        pairs = np.stack([np.tile(codes, 16), np.repeat(codes, 16)], axis=1)
        return ElementType(2, 1, lambda data: pairs[data].reshape(-1))
    return _gguf_type(dtype)


def _bfloat16(data: Bytes) -> Values:
    wide = data.view("<u2").astype(np.uint32)
    np.left_shift(wide, 16, out=wide)
    return wide.view(np.float32)


def _cast(stored: str, values: type[np.floating[Any]]) -> Callable[[Bytes], Values]:
    return lambda data: data.view(stored).astype(values, copy=False)


def _looked_up(table: Values) -> Callable[[Bytes], Values]:
    return lambda data: table[data]


def _codes(name: str, n: int) -> Values:
    import ml_dtypes

    codes: Values = np.arange(n, dtype=np.uint8).view(getattr(ml_dtypes, name)).astype(np.float32)
    return codes


def _gguf_type(dtype: str) -> ElementType | None:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    kind = GGMLQuantizationType.__members__.get(dtype)
    if kind is None or kind not in GGML_QUANT_SIZES:
        return None
    elements, size = GGML_QUANT_SIZES[kind]
    try:
        quants.dequantize(np.zeros(size, np.uint8), kind)
    except NotImplementedError:
        return None
    return ElementType(elements, size, lambda data: quants.dequantize(data, kind).reshape(-1))
