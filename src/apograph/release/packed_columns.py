"""GPTQ and AWQ: codes packed into 32-bit words, stored with inputs first, one scale and zero point for every
group of inputs and every output: value[output, input] = scale[group, output] * (code - zero[group, output]).

GPTQ (AutoGPTQ, qlinear_cuda.py) packs along the inputs and stores zero points less one (modulo 2^bits) unless
the checkpoint is of format gptq_v2; ``g_idx`` names each input's group. AWQ (AutoAWQ, packing_utils.py) packs
along the outputs, in the order 0 2 4 6 1 3 5 7, and its zero points are as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Json
from apograph.release.elements import Bytes, Values
from apograph.release.file_store import FileStore
from apograph.release.packed_store import part, whole
from apograph.release.refuse import refuse
from apograph.release.types import TensorInfo

MAX_CODES = 1 << 30
_AWQ_ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


@dataclass(frozen=True, slots=True)
class _Loaded:
    codes: Bytes  # [outputs, inputs]
    scales: Values  # [outputs, groups]
    zeros: Values  # [outputs, groups]
    groups: NDArray[np.int64]  # of every input


@dataclass(frozen=True, slots=True)
class Columns:
    """A weight of codes of ``bits`` bits; ``one_less``: the stored zero points are to be raised by one."""

    info: TensorInfo
    parts: tuple[str, ...]
    bits: int
    awq: bool
    one_less: bool

    def load(self, store: FileStore) -> _Loaded:
        """Codes with outputs first, one byte each, and the scales, zero points and groups."""
        words, zeros = (self._whole(store, name) for name in self.parts[:2])
        scale: Values = whole(store, self.parts[2]).T.astype(np.float32)
        codes: NDArray[np.uint8]
        if self.awq:
            codes = _spread(words, self.bits)[:, :, _AWQ_ORDER].reshape(len(words), -1).T
            zero = _spread(zeros, self.bits)[:, :, _AWQ_ORDER].reshape(len(zeros), -1).T
        else:
            codes = _spread(np.ascontiguousarray(words.T), self.bits).reshape(words.shape[1], -1)
            zero = _spread(zeros, self.bits).reshape(len(zeros), -1).T
        if self.one_less:
            zero = (zero + np.uint8(1)) & np.uint8((1 << self.bits) - 1)
        inputs = (self.info.shape or (0, 0))[1]
        if len(self.parts) > 3:
            groups = whole(store, self.parts[3]).astype(np.int64)
            if len(groups) and not 0 <= groups.min() <= groups.max() < scale.shape[1]:
                raise refuse("packed.shape", self.info.file, name=self.info.name)
        else:
            groups = np.arange(inputs) // (inputs // scale.shape[1])
        return _Loaded(np.ascontiguousarray(codes), scale, zero.astype(np.float32), groups)

    def values(self, store: FileStore, loaded: _Loaded, start: int, stop: int) -> Values:
        """The flat elements [start, stop)."""
        inputs = loaded.codes.shape[1]
        first, last = start // inputs, -(-stop // inputs)
        codes = loaded.codes[first:last].astype(np.float32)
        codes -= loaded.zeros[first:last][:, loaded.groups]
        codes *= loaded.scales[first:last][:, loaded.groups]
        return codes.reshape(-1)[start - first * inputs : stop - first * inputs]

    def _whole(self, store: FileStore, name: str) -> NDArray[np.uint32]:
        shape = store.infos[name].shape or ()
        return store.raw(name, 0, int(np.prod(shape))).reshape(shape).astype(np.uint32, copy=False)


def _spread(words: NDArray[np.uint32], bits: int) -> Bytes:
    """The codes in every word, lowest bits first: [rows, words, codes of a word]."""
    codes = np.empty((*words.shape, 32 // bits), np.uint8)
    for i in range(32 // bits):  # one after the other: together they would take four times the memory
        codes[:, :, i] = (words >> np.uint32(bits * i)) & np.uint32((1 << bits) - 1)
    return codes


def columns(store: FileStore, codes: str, settings: Mapping[str, Json]) -> Columns:
    """The weight whose codes are the tensor ``codes`` (``....qweight``); Refusal when the parts do not fit or
    the width is not 2, 4 or 8 bits. ``settings`` is the configuration's quantization_config."""
    stem = codes.removesuffix("qweight")
    info, shape = part(store, codes, codes, "I32")
    _, zeros = part(store, codes, f"{stem}qzeros", "I32")
    _, scales = part(store, codes, f"{stem}scales", "F16", "BF16", "F32")
    parts = [codes, f"{stem}qzeros", f"{stem}scales"]
    if not len(shape) == len(zeros) == len(scales) == 2 or 0 in (*shape, *zeros, *scales):
        raise refuse("packed.shape", info.file, name=codes)
    outputs = scales[1]
    awq = shape[1] != outputs
    bits = 32 * (shape[1] if awq else zeros[1]) // outputs
    inputs = shape[0] if awq else shape[0] * 32 // max(bits, 1)
    if bits not in (2, 4, 8) or (awq and bits != 4) or inputs * outputs > MAX_CODES:
        raise refuse("packed.scheme", info.file, name=codes)
    if f"{stem}g_idx" in store.infos:
        parts.append(f"{stem}g_idx")
        if part(store, codes, parts[3], "I32")[1] != (inputs,):
            raise refuse("packed.shape", info.file, name=codes)
    words = outputs * bits // 32
    even = inputs % scales[0] == 0 or len(parts) > 3
    if zeros != (scales[0], words) or (awq and shape[1] != words) or not even:
        raise refuse("packed.shape", info.file, name=codes)
    name = f"{stem}weight"
    if name in store.infos:
        raise refuse("packed.shape", info.file, name=name)
    one_less = not awq and settings.get("checkpoint_format") != "gptq_v2"
    scheme = f"{'AWQ' if awq else 'GPTQ'}{bits}"
    described = TensorInfo(name, (outputs, inputs), scheme, info.file)
    return Columns(described, tuple(parts), bits, awq, one_less)
