"""Which slices a picture of any size and ratio is cut into.

The picture is shown once whole (the overview, about 448 x 448 in area) and, when it is larger than that,
again in a grid of at most nine slices of about that area each, whose shape suits the ratio. Source: the
MiniCPM-V 2.5 release; LLaVA-UHD (Xu et al. 2024, arXiv 2403.11703, section 3.1) introduced the idea.

Sizes are (width, height) in pixels and always multiples of 14. ``round`` is Python's, half to even, and
``int`` truncates: both decide the golden table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one picture is resized and cut. ``grid`` is (columns, rows), None when the overview is all."""

    overview: Size
    grid: Size | None = None
    refined: Size | None = None

    @property
    def slice_size(self) -> Size | None:
        """Size of every slice of the refined picture."""
        if self.grid is None or self.refined is None:
            return None
        return self.refined[0] // self.grid[0], self.refined[1] // self.grid[1]

    @property
    def boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """The slices as (left, top, right, bottom) in the refined picture, row by row."""
        if self.grid is None or self.slice_size is None:
            return ()
        (columns, rows), (w, h) = self.grid, self.slice_size
        return tuple((c * w, r * h, (c + 1) * w, (r + 1) * h) for r in range(rows) for c in range(columns))


def plan(size: Size, max_slices: int = 9, scale: int = 448, patch: int = 14) -> Plan:
    """The plan for a picture of ``size``; at most ``max_slices`` slices of about ``scale`` ** 2 pixels."""
    width, height = size
    wanted = min(math.ceil(width * height / (scale * scale)), max_slices)
    if wanted <= 1:
        return Plan(overview=_resized(width, height, True, scale, patch))
    columns, rows = _grid(width / height, wanted, max_slices)
    # The cell's size is a fraction on purpose: it is rounded once, by _resized.
    cell_width = _nearest(width, columns) / columns
    cell_height = _nearest(height, rows) / rows
    w, h = _resized(cell_width, cell_height, True, scale, patch)
    return Plan(_resized(width, height, False, scale, patch), (columns, rows), (w * columns, h * rows))


def _nearest(length: float, unit: int) -> int:
    """The multiple of ``unit`` nearest to ``length``, at least one unit."""
    return max(round(length / unit) * unit, unit)


def _resized(width: float, height: float, enlarge: bool, scale: int, patch: int) -> Size:
    """The size of the same ratio and an area of ``scale`` ** 2, when larger than that or to ``enlarge``."""
    if width * height > scale * scale or enlarge:
        ratio = width / height
        height = int(scale / math.sqrt(ratio))
        width = int(height * ratio)  # from the truncated height
    return _nearest(width, patch), _nearest(height, patch)


def _grid(ratio: float, wanted: int, max_slices: int) -> Size:
    """The grid of about ``wanted`` cells whose ratio is nearest on a log scale; the earlier one on a tie."""
    counts = [n for n in (wanted - 1, wanted, wanted + 1) if n != 1 and n <= max_slices]
    grids = [(c, n // c) for n in counts for c in range(1, n + 1) if n % c == 0]
    return min(grids, key=lambda grid: abs(math.log(ratio) - math.log(grid[0] / grid[1])), default=(1, 1))
