"""Whole rows of two matched tensors, evenly spaced: what a second, closer look is taken at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.role_views import bounded
from apograph.align.tensors import Match, Part
from apograph.evidence.moments import values_of
from apograph.evidence.stream import part_range, stored
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore

ROWS, ELEMENTS = 512, 1 << 20
LARGEST = 1e15
"""Elements beyond are cut to it: their squares and sums stay in the range of float32."""

Values = NDArray[Any]


def sampled_rows(match: Match, reference: TensorStore, candidate: TensorStore) -> tuple[Values, Values]:
    """Both sides as [rows, columns]: at most ``ROWS`` rows and about ``ELEMENTS`` elements. A vector is one
    row; axes after the first are one. An element that is not finite on one side is 0 on both, as the moments
    leave it out."""
    first, last = part_range(reference, match.reference)
    shape = reference.infos[match.reference.name].shape or ()
    width = element_count(shape[1:]) or 1 if len(shape) > 1 else last - first
    rows = (last - first) // max(width, 1)
    take = max(min(rows, ROWS, ELEMENTS // max(width, 1)), 1)
    chosen = [k * rows // take for k in range(take)]
    a = _rows(reference, match.reference, chosen, width)
    if match.transposed:
        name = match.candidate.name
        whole = candidate.block(name, 0, last - first).reshape(candidate.infos[name].shape or ())
        b = whole.T[chosen]
    else:
        b = _rows(candidate, match.candidate, chosen, width)
    odd = ~(np.isfinite(a) & np.isfinite(b))
    if odd.any():
        a, b = (np.where(odd, v.dtype.type(0), v) for v in (a, b))
    return bounded(a, LARGEST), bounded(b, LARGEST)


def _rows(store: TensorStore, part: Part, chosen: list[int], width: int) -> Values:
    if chosen[-1] + 1 == len(chosen) and len(chosen) * width <= ELEMENTS:  # side by side: one read
        return values_of(stored(store, part, 0, len(chosen) * width)).reshape(len(chosen), width)
    cut = min(width, ELEMENTS)
    return np.stack([values_of(stored(store, part, k * width, k * width + cut)) for k in chosen])
