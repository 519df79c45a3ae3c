"""A TensorStore over arrays in memory, for examiners of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.tensors import Match, Part
from apograph.findings import Unexamined
from apograph.release.types import TensorInfo

_DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "uint16": "BF16"}


class ArraysStore:
    """float32, float64 and float16 arrays as they are; uint16 holds the bits of bfloat16."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = dict(arrays)
        self.infos = {
            name: TensorInfo(name, array.shape, _DTYPES[array.dtype.name], "memory")
            for name, array in arrays.items()
        }
        self.unexamined: tuple[Unexamined, ...] = ()
        self.reads = 0

    def dtype(self, name: str) -> str:
        return str(self.infos[name].dtype)

    def block(self, name: str, start: int, stop: int) -> NDArray[Any]:
        self.reads += 1
        flat = self.arrays[name].reshape(-1)[start:stop]
        if flat.dtype == np.uint16:
            return (flat.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return flat.astype(np.float64 if flat.dtype == np.float64 else np.float32)

    def raw(self, name: str, start: int, stop: int, out: Any = None) -> NDArray[np.unsignedinteger]:
        self.reads += 1
        flat = self.arrays[name].reshape(-1)[start:stop].copy()
        return flat.view(f"u{flat.itemsize}")

    def check(self) -> None: ...

    def close(self) -> None: ...


def bf16(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Rounded to nearest, ties to even, as bits."""
    import ml_dtypes

    bits: NDArray[np.uint16] = values.astype(np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)
    return bits


def matched(reference: ArraysStore, candidate: ArraysStore) -> list[Match]:
    """Tensors of equal names."""
    return [Match(Part(name), Part(name), "same", 1.0) for name in reference.infos if name in candidate.infos]
