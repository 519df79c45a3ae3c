"""compressed-tensors (pack-quantized, int-quantized, float-quantized) and block-scaled float8.

value = (code - zero point) * scale, with one scale for the tensor, a row, a group of columns or a block of
rows and columns. Packed codes lie along the columns in 32-bit words, lowest bits first, raised by 2^(bits-1);
packed zero points likewise along the rows (compressed-tensors, pack_quantized/helpers.py). Float8 checkpoints
with ``weight_scale_inv`` hold one scale for each block, and multiply by it, whatever the name says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apograph.release.elements import Values
from apograph.release.file_store import FileStore
from apograph.release.packed_store import part, whole
from apograph.release.refuse import refuse
from apograph.release.types import TensorInfo

_FLOATS = ("F16", "BF16", "F32")
_FLOAT8 = ("F8_E4M3", "F8_E5M2")
BLOCK = 128


@dataclass(frozen=True, slots=True)
class Grid:
    """Scales over a matrix: one for every ``rows`` x ``columns`` elements."""

    rows: int
    columns: int

    def over(self, scales: Values, first: int, last: int, width: int) -> Values:
        """The scale of every element of rows [first, last) of a matrix ``width`` wide."""
        spread: Values = scales[np.arange(first, last) // self.rows][:, np.arange(width) // self.columns]
        return spread


@dataclass(frozen=True, slots=True)
class Scaled:
    """A matrix with scales; ``bits`` is the width of packed codes, 0 where they lie as the element type."""

    info: TensorInfo
    parts: tuple[str, ...]
    grid: Grid
    bits: int = 0
    zeros: str | None = None
    groups: str | None = None

    @staticmethod
    def width(info: TensorInfo) -> int:
        """The number of columns of a matrix."""
        return (info.shape or (0,))[-1]

    def load(self, store: FileStore) -> tuple[Values, Values | None, NDArray[np.int64] | None]:
        """Scales, zero points and, where inputs are out of order, the group of each."""
        scales: Values = whole(store, self.parts[1]).astype(np.float32)
        if scales.ndim != 2:
            scales = scales.reshape(-1, 1)
        zeros: Values | None = None
        if self.zeros is not None:
            zeros = whole(store, self.zeros)
            if self.bits:
                words = store.raw(self.zeros, 0, zeros.size).reshape(zeros.shape)
                zeros = _codes(words.T, self.bits, scales.shape[0]).T
            zeros = zeros.reshape(scales.shape)
        groups = whole(store, self.groups).astype(np.int64) if self.groups is not None else None
        if groups is not None and groups.size and not 0 <= groups.min() <= groups.max() < scales.shape[1]:
            raise refuse("packed.shape", self.info.file, name=self.info.name)
        return scales, zeros, groups

    def values(
        self,
        store: FileStore,
        loaded: tuple[Values, Values | None, NDArray[np.int64] | None],
        start: int,
        stop: int,
    ) -> Values:
        """The flat elements [start, stop)."""
        scales, zeros, groups = loaded
        width = self.width(self.info)
        first, last = start // width, -(-stop // width)
        if self.bits:
            words = self.width(store.infos[self.parts[0]])
            data = store.raw(self.parts[0], first * words, last * words).reshape(-1, words)
            values = _codes(data, self.bits, width)
        else:
            values = store.block(self.parts[0], first * width, last * width).reshape(-1, width)
        for table, apply in ((zeros, np.subtract), (scales, np.multiply)):
            if table is None:
                continue
            if groups is not None:
                spread = table[np.arange(first, last) // self.grid.rows][:, groups]
            else:
                spread = self.grid.over(table, first, last, width)
            values = apply(values, spread)
        return values.reshape(-1)[start - first * width : stop - first * width]


def _codes(words: NDArray[np.unsignedinteger], bits: int, width: int) -> Values:
    """Signed codes in rows of words, lowest bits first, without the padding beyond ``width``."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    codes = (words.astype(np.uint32)[:, :, None] >> shifts) & np.uint32((1 << bits) - 1)
    flat: Values = codes.reshape(len(words), -1)[:, :width].astype(np.float32)
    return flat - np.float32(1 << (bits - 1))


def _grid(scales: tuple[int, ...], shape: tuple[int, int], *, blocks: bool) -> Grid | None:
    """How scales of shape ``scales`` lie over a matrix of ``shape``."""
    rows, columns = shape
    if scales in ((), (1,), (1, 1)):
        return Grid(rows, columns)
    if scales in ((rows,), (rows, 1)):
        return Grid(1, columns)
    if len(scales) == 2 and scales[0] == rows and columns % scales[1] == 0:
        return Grid(1, columns // scales[1])
    if blocks and scales == (-(-rows // BLOCK), -(-columns // BLOCK)):
        return Grid(BLOCK, BLOCK)
    return None


def packed_integers(store: FileStore, codes: str) -> Scaled:
    """The weight whose codes are the tensor ``codes`` (``....weight_packed``) of 2, 4 or 8 bits."""
    stem = codes.removesuffix("_packed")
    info, words = part(store, codes, codes, "I32")
    _, scales = part(store, codes, f"{stem}_scale", *_FLOATS)
    part(store, codes, f"{stem}_shape", "I64", "I32")
    shape = tuple(int(n) for n in whole(store, f"{stem}_shape").reshape(-1)[:3])
    if len(words) != 2 or len(shape) != 2 or shape[0] != words[0] or not 0 < shape[1] <= words[1] * 16:
        raise refuse("packed.shape", info.file, name=codes)
    bits = next((b for b in (2, 4, 8) if -(-shape[1] * b // 32) == words[1]), 0)
    if not bits:
        raise refuse("packed.scheme", info.file, name=codes)
    grid = _grid(scales, (shape[0], shape[1]), blocks=False)
    parts = [codes, f"{stem}_scale", f"{stem}_shape"]
    optional = [f"{stem}_zero_point", f"{stem}_g_idx"]
    zeros, groups = (name if name in store.infos else None for name in optional)
    parts += [name for name in (zeros, groups) if name]
    if zeros is not None:
        stored = part(store, codes, zeros, "I32")[1]
        if len(scales) != 2 or stored != (-(-scales[0] * bits // 32), scales[1]):
            raise refuse("packed.shape", info.file, name=codes)
    if groups is not None and part(store, codes, groups, "I32")[1] != (shape[1],):
        raise refuse("packed.shape", info.file, name=codes)
    if grid is None or stem in store.infos:
        raise refuse("packed.shape", info.file, name=codes)
    described = TensorInfo(stem, shape, f"INT{bits}", info.file)
    return Scaled(described, tuple(parts), grid, bits, zeros, groups)


def scaled(store: FileStore, scale: str) -> Scaled:
    """The matrix of eight-bit integers or floats whose scales are the tensor ``scale``."""
    stem = scale.removesuffix("_inv").removesuffix("_scale")
    info, shape = part(store, scale, stem, "I8", *_FLOAT8)
    _, scales = part(store, scale, scale, *_FLOATS)
    grid = _grid(scales, (shape[0], shape[1]), blocks=scale.endswith("_inv")) if len(shape) == 2 else None
    if grid is None or 0 in shape:
        raise refuse("packed.shape", info.file, name=stem)
    parts = [stem, scale]
    zeros = f"{stem}_zero_point" if f"{stem}_zero_point" in store.infos else None
    if zeros is not None:
        if part(store, scale, zeros, "I8", *_FLOAT8)[1] != scales:
            raise refuse("packed.shape", info.file, name=stem)
        parts.append(zeros)
    scheme = "INT8" if info.dtype == "I8" else f"{info.dtype} scaled"
    return Scaled(TensorInfo(stem, shape, scheme, info.file), tuple(parts), grid, 0, zeros)
