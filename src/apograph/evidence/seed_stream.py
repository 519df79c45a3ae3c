"""PyTorch's default CPU generator: the initial weights that a seed gives, without PyTorch.

The generator is mt19937 (Matsumoto and Nishimura 1998). ``uniform_`` of float32 takes the low 24 bits of one
word for every element; ``normal_`` of 16 elements or more takes such numbers for all of them and applies Box
and Muller in groups of 16, the first eight with the next eight. So both take one word for every element.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUP = 16

Floats = NDArray[np.float32]


def unit_stream(seed: int, count: int) -> Floats:
    """The first ``count`` numbers of [0, 1) that the generator gives for a seed of 32 bits."""
    generator = np.random.MT19937()
    generator._legacy_seeding(seed)
    words = generator.random_raw(count).astype(np.uint32)
    return (words & np.uint32((1 << 24) - 1)).astype(np.float32) * np.float32(2**-24)


def centred(units: Floats) -> Floats:
    """``uniform_`` over [-1, 1), as the uniform initialisers draw; the truncated normal one keeps the order
    and the signs of these numbers."""
    return units * np.float32(2) - np.float32(1)


def normals(units: Floats) -> Floats:
    """``normal_`` with mean 0 and deviation 1 from as many numbers in [0, 1) [n], a multiple of 16."""
    first, second = units.reshape(-1, 2, GROUP // 2).transpose(1, 0, 2).astype(np.float64)
    radius = np.sqrt(-2 * np.log1p(-first))
    angle = 2 * np.pi * second
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return both.reshape(-1).astype(np.float32)
