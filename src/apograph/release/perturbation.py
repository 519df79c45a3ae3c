"""The noise control: every element plus Gaussian noise, computed in the type in which the element is stored.

The published control of the founding case is ``v + randn / 708`` with the generator seeded again for every
tensor, so that tensors of equal shape receive equal noise; seeded once, they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from apograph.release.safetensors_writer import Planned
from apograph.release.tensor_store import TensorStore

CHUNK = 1 << 16
"""Elements that one state of the generator makes: noise can be drawn from any place on."""
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
Reseed = Literal["per-tensor", "once"]


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of standard deviation ``sigma``; ``reseed`` "per-tensor" begins anew with every tensor."""

    sigma: Fraction
    seed: int
    reseed: Reseed

    def normal(self, tensor: int, start: int, stop: int, wide: bool = False) -> NDArray[Any]:
        """Standard normal values of the elements [start, stop) of the tensor of this number: float32, or
        float64 if ``wide``. Philox 4x64 (Salmon et al. 2011) keyed by the seed, its counter by tensor and
        chunk, so that nothing depends on how the elements are divided."""
        stream = 0 if self.reseed == "per-tensor" else tensor
        parts = []
        for chunk in range(start // CHUNK, -(-stop // CHUNK)):
            random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, chunk, stream]))
            first = chunk * CHUNK
            kind = np.float64 if wide else np.float32
            drawn = random.standard_normal(min(stop - first, CHUNK), dtype=kind)
            parts.append(drawn[max(start - first, 0) :])
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


class Perturbed:
    """The elements of a checkpoint with noise, as ``safetensors_writer.Read`` wants them.

    Integers and truth values stay as they are. Sums are rounded to the stored type after every operation, as
    arithmetic in that type does: the noise, its division, the sum.
    """

    def __init__(self, store: TensorStore, noise: Noise) -> None:
        self._store, self._noise = store, noise
        self._number: Mapping[str, int] = {name: n for n, name in enumerate(store.infos)}

    def __call__(self, tensor: Planned, start: int, stop: int) -> NDArray[Any]:
        """Elements [start, stop) as they are to be stored."""
        if tensor.dtype not in FLOATS:
            return self._raw(tensor, start, stop)
        kind = stored_type(tensor.dtype)
        wide = kind == np.float64
        values = self._raw(tensor, start, stop).view(kind)
        drawn = self._noise.normal(self._number[tensor.source], start, stop, wide)
        bits: NDArray[Any] = added(values, drawn, self._noise.sigma).view(f"<u{tensor.width}")
        return bits

    def _raw(self, tensor: Planned, start: int, stop: int) -> NDArray[Any]:
        raw = self._store.raw(tensor.source, start, stop)
        assert raw is not None  # the plan holds only what is stored as it is
        return raw


def added(values: NDArray[Any], drawn: NDArray[Any], sigma: Fraction) -> NDArray[Any]:
    """``values`` plus ``sigma`` times ``drawn``, in the type of ``values``. Narrow types are computed in
    float32 and rounded after each step (to nearest, ties to even)."""
    kind = values.dtype
    if kind in (np.float32, np.float64):
        sum_: NDArray[Any] = values + drawn.astype(kind) * kind.type(sigma.numerator) / kind.type(
            sigma.denominator
        )
        return sum_
    noise = drawn.astype(kind).astype(np.float32)
    if sigma.numerator != 1:
        noise = (noise * np.float32(sigma.numerator)).astype(kind).astype(np.float32)
    noise = (noise / np.float32(sigma.denominator)).astype(kind).astype(np.float32)
    total: NDArray[Any] = (values.astype(np.float32) + noise).astype(kind)
    return total


def stored_type(dtype: str) -> np.dtype[Any]:
    """The array type of one of ``FLOATS``."""
    if dtype in ("F64", "F32", "F16"):
        return np.dtype(f"<f{int(dtype[1:]) // 8}")
    import ml_dtypes

    names = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, names[dtype]))
    return found
