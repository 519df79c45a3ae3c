"""How much of the true permutation a recovered gauge tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.gauge import Gauge
from apograph.findings import Json

_LAYER = re.compile(r"\.(\d+)\.")


def recovered(gauge: Gauge | None, file: Path) -> dict[str, Json]:
    """Places told rightly and all places, by kind of map: units, heads, channels, tokens.

    ``file`` is the truth of the child: for each of its places the parent's (-1: new). The parent is the
    reference, so a gauge's index gives for each of its places the child's. Where a kind was not permuted, or
    the layers were moved too (the map then goes by other numbers), nothing is told of it.
    """
    if not file.exists():
        return {}
    with np.load(file) as maps:
        true = {key: maps[key] for key in maps.files}
    if "layers" in true:
        return {}
    told: dict[str, list[int]] = {}
    found = _indices(gauge, true) if gauge is not None else {}
    for key, order in true.items():
        kind = key.split(".")[0]
        if kind in ("units", "heads", "channels", "tokens"):
            right, places = told.get(kind, [0, 0])
            there = order >= 0
            told[kind] = [right + _right(found.get(key), order), places + int(there.sum())]
    return {kind: list(counts) for kind, counts in told.items()}


def _right(index: NDArray[np.int64] | None, order: NDArray[np.int64]) -> int:
    """Places of the child that the parent's places were rightly answered by."""
    if index is None:
        return 0
    there = np.flatnonzero((index >= 0) & (index < len(order)))
    return int((order[index[there]] == there).sum())


def _indices(gauge: Gauge, true: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, NDArray[np.int64]] = {}
    for piece in gauge.pieces:
        layer = _LAYER.search(piece.reference.name)
        if piece.module is None or layer is None or piece.out.index is None:
            continue
        module = gauge.modules[piece.module]
        index = piece.out.index
        if module.family == "mlp":
            key, groups = f"units.{layer[1]}", len(index)
        else:
            key = f"heads.{layer[1]}"
            groups = module.geometry[0].groups if module.geometry else 0
        known = true.get(key)
        if known is not None and key not in found and groups and len(index) % groups == 0:
            size = len(index) // groups
            if module.family == "mlp" or size == (module.geometry[0].size if module.geometry else 0):
                found[key] = np.where(index[::size] < 0, -1, index[::size] // size)
    if gauge.streams:
        stream = gauge.streams[0]
        if stream.axis.index is not None and stream.axis.mix is None:
            found["channels"] = stream.axis.index
        if stream.rows is not None:
            found["tokens"] = stream.rows
    return found
