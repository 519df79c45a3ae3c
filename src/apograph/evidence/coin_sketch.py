"""Some channels of a module's units on one side: enough to pair units, to throw coins, to see repetitions.

The sign of an inner product over a part of the channels is as fair a coin as over all of them. A sketch of
the largest modules in use takes some tens of megabytes, whatever the number of layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.modules import Module
from apograph.align.pairing import Sketch
from apograph.align.role_views import evenly, part, read, view_shape
from apograph.align.roles import View
from apograph.evidence.coin_products import Products
from apograph.release.tensor_store import TensorStore

CHANNELS = 256


def sketch(
    module: Module,
    side: int,
    store: TensorStore,
    *,
    channels: int = CHANNELS,
    gated: bool = False,
    turn: NDArray[np.float32] | None = None,
) -> Sketch:
    """Up to ``channels`` evenly spaced residual channels of one side (0 reference, 1 candidate). The norm's
    gain is multiplied into what reads the stream; ``turn`` then rotates it. The gate only where ``gated``."""
    half = module.halves[side]

    def cut(view: View, reads: bool, columns: bool = False) -> NDArray[np.float32]:
        gain = read(store, half.gain) if reads and half.gain is not None else None
        width = view_shape(store, view)[0 if columns else 1]
        chosen = evenly(width, channels)
        if turn is not None and len(turn) == width:
            matrix = read(store, view)
            matrix = matrix.T if columns else matrix
            return np.ascontiguousarray((matrix if gain is None else matrix * gain) @ turn[:, chosen])
        matrix = part(store, view, chosen).T if columns else part(store, view, None, chosen)
        return np.ascontiguousarray(matrix if gain is None else matrix * gain[chosen])

    near = cut(half.near, True)
    far = cut(half.far, module.family == "qk", columns=module.family != "qk")
    units = module.units
    return Sketch(
        near.reshape(-1, units, near.shape[1]),
        far.reshape(-1, module.shared, units, far.shape[1]),
        None if half.gate is None or not gated else cut(half.gate, True)[:, None],
    )


def products(module: Module, a: Sketch, b: Sketch) -> Products:
    """[3, units]: inner products and squared lengths of what flips together, of paired sketches."""
    far = [np.einsum("gsuc,gsuc->gu", x, y, dtype=np.float64) for x, y in _three(a.far, b.far)]
    if module.sure:
        near = [np.einsum("guc,guc->gu", x, y, dtype=np.float64) for x, y in _three(a.near, b.near)]
        far = [x + y for x, y in zip(near, far, strict=True)]
    both = np.stack(far)
    if module.family == "qk":
        both = both[:, :, module.quads()].sum(axis=3)
    return both.reshape(3, -1)


def together(module: Module, s: Sketch) -> NDArray[Any]:
    """[groups, units, vectors, channels]: all vectors of a unit, over equally many channels."""
    if not module.sure:
        return s.far.transpose(0, 2, 1, 3)
    channels = min(s.near.shape[-1], s.far.shape[-1])
    both = [s.near[:, None, :, :channels], s.far[..., :channels]]
    return np.concatenate(both, axis=1).transpose(0, 2, 1, 3)


def parts(module: Module, s: Sketch) -> list[NDArray[Any]]:
    """Each matrix as [units, features]: what flips together, one row each, in the order of ``products``."""
    matrices = [s.near[:, None], s.far] if module.sure else [s.far]
    return [_rows(module, m.transpose(0, 2, 1, 3)) for m in matrices]


def _rows(module: Module, vectors: NDArray[Any]) -> NDArray[Any]:
    found = vectors.reshape(*vectors.shape[:2], -1)
    if module.family == "qk":
        found = found[:, module.quads()].reshape(len(found), module.units // 4, -1)
    return found.reshape(-1, found.shape[-1])


def _three(a: Any, b: Any) -> tuple[tuple[Any, Any], ...]:
    return (a, b), (a, a), (b, b)
