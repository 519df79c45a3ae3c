"""Quantised layouts as published ones are, written independently of the readers in ``release``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[Any]
Parts: TypeAlias = Mapping[str, Matrix]
"""What one matrix is stored as, by tensor name."""


def int8(stem: str, array: Matrix) -> Parts:
    """LLM.int8() as bitsandbytes saves it: codes, and the greatest size of every row."""
    scales = np.abs(array).max(axis=1)
    codes = np.round(array * 127 / scales[:, None]).astype(np.int8)
    return {f"{stem}.weight": codes, f"{stem}.SCB": scales.astype(np.float32)}


def nf4_book() -> NDArray[np.float32]:
    """The sixteen values of NF4 (Dettmers et al. 2023, appendix E): quantiles of the normal law."""
    from scipy.stats import norm

    top = 0.9677083
    positive = norm.ppf(np.linspace(top, 0.5, 9)[:-1])
    negative = -norm.ppf(np.linspace(top, 0.5, 8)[:-1])
    values = np.sort(np.concatenate([negative, [0.0], positive]))
    book: NDArray[np.float32] = (values / values.max()).astype(np.float32)
    return book


def nf4(stem: str, array: Matrix) -> Parts:
    """NF4 in blocks of 64 as bitsandbytes saves it, its scales in float32."""
    book = nf4_book()
    blocks = array.reshape(-1, 64)
    scales = np.abs(blocks).max(axis=1)
    codes = np.searchsorted((book[1:] + book[:-1]) / 2, blocks / scales[:, None]).reshape(-1).astype(np.uint8)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": list(array.shape)}
    return {
        f"{stem}.weight": (codes[::2] << 4 | codes[1::2]).reshape(-1, 1),
        f"{stem}.weight.absmax": scales.astype(np.float32),
        f"{stem}.weight.quant_map": book,
        f"{stem}.weight.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(state).encode(), np.uint8),
    }


def int4(stem: str, array: Matrix) -> Parts:
    """Four bits in AutoGPTQ's layout, groups of 32 inputs, rounded to nearest."""
    codes, scales, zeros = grouped(array, 32)
    order = list(range(8))
    return {
        f"{stem}.qweight": words(codes, order).T,
        f"{stem}.qzeros": words((zeros.T - 1) & 15, order),
        f"{stem}.scales": scales.T.astype(np.float16),
    }


def grouped(array: Matrix, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Four-bit codes, scales and zero points by rows and groups of columns."""
    groups = array.reshape(len(array), -1, size)
    low = np.minimum(groups.min(axis=2), 0)
    scales = ((np.maximum(groups.max(axis=2), 0) - low) / 15).astype(np.float16).astype(np.float32)
    zeros = np.clip(np.round(-low / scales), 0, 15)
    codes = np.clip(np.round(groups / scales[:, :, None]) + zeros[:, :, None], 0, 15)
    return codes.reshape(array.shape).astype(np.uint32), scales, zeros.astype(np.uint32)


def words(codes: Matrix, order: list[int]) -> Matrix:
    """Eight codes to a word along the last axis; position i of a word takes code ``order[i]``."""
    packed = np.zeros((codes.shape[0], codes.shape[1] // 8), np.uint32)
    for i, source in enumerate(order):
        packed |= codes[:, source::8] << np.uint32(4 * i)
    return packed.view(np.int32)


QUANTISERS: Mapping[str, tuple[Callable[[str, Matrix], Parts], Mapping[str, Any]]] = {
    "int8": (int8, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "nf4": (nf4, {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}),
    "int4": (int4, {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False}),
}
"""By name: the layout, and the configuration's quantization_config."""
