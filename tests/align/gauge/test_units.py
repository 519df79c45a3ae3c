"""Units and heads from sketches of matrices wider than these: order, signs, scales, planes, under noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apograph.align.gauge.heads import heads_map
from apograph.align.gauge.sketch import onto
from apograph.align.gauge.types import Geometry
from apograph.align.gauge.units import unit_map

WIDTH, UNITS = 1100, 300
SHAPE = Geometry(6, 2, 16)


def drawn(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_units_are_put_in_order_and_rescaled(noise: float) -> None:
    random = np.random.default_rng(0)
    order, factor = random.permutation(UNITS), np.exp(random.uniform(-1, 1, UNITS)) * random.choice([-1, 1])
    sketch = onto(WIDTH).rows
    pairs = []
    for n, scale in enumerate((factor, 1 / factor, np.ones(UNITS))):  # up, down, gate
        a = drawn(n, UNITS, WIDTH)
        b = (a + noise * drawn(n + 9, UNITS, WIDTH)) * scale[:, None]
        pairs.append((sketch(a), sketch(b[order].astype(np.float32))))
    found = unit_map(*pairs)
    assert found.up.index is not None
    assert found.up.after is not None
    assert np.array_equal(order[found.up.index], np.arange(UNITS))
    # A sketch of 512 numbers is off by the noise over its root, in up and in down.
    assert (found.up.after * factor).std() < 1e-5 + 1.2 * noise / (2 * 512) ** 0.5
    assert (found.up.after * factor).mean() == pytest.approx(1, abs=0.03)
    assert found.held == pytest.approx(1 / (1 + noise**2) ** 0.5, abs=0.01)
    assert found.chance < 0.05


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_planes_of_permuted_heads_are_found_in_sketches_of_q_and_o(noise: float) -> None:
    rows = {"q": 96, "k": 32, "v": 32, "o": 96}
    mine = {name: drawn(n, count, WIDTH) for n, (name, count) in enumerate(rows.items())}
    angle = np.random.default_rng(4).uniform(0, 6, (2, 8))
    theirs = {}
    for name, matrix in mine.items():
        whole = matrix + noise * drawn(20 + len(theirs), *matrix.shape)
        heads = whole.reshape(2, -1, 2, 8, WIDTH)
        if name in "qk":
            cos, sin = (f(angle)[:, None, :, None] for f in (np.cos, np.sin))
            one, two = heads[:, :, 0], heads[:, :, 1]
            heads = np.stack([cos * one - sin * two, sin * one + cos * two], 2)
        theirs[name] = heads[::-1].reshape(matrix.shape).astype(np.float32)  # the two groups exchanged
    sketch = onto(WIDTH).rows
    sides = [tuple(sketch(m) if name in "qo" else m for name, m in side.items()) for side in (mine, theirs)]
    found = heads_map((sides[0], sides[1]), (SHAPE, SHAPE), "half")
    assert found is not None
    assert found.groups.tolist() == [1, 0]
    assert found.heads.tolist() == [3, 4, 5, 0, 1, 2]
    assert (found.vo.mixing.kind, found.qk.mixing.kind) == ("none", "planes")
    plane = found.qk.mixing.matrix[:, 0, 0] + 1j * found.qk.mixing.matrix[:, 8, 0]
    assert np.abs(np.angle(plane / np.exp(1j * angle[:, 0]))).max() < 1e-4 + 0.1 * noise
    assert min(found.vo.held, found.qk.held) > 0.999 - noise**2
