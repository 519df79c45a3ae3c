"""What was found in the weights as exhibits: classes by tower and component, distances by layer and
component, and the law of the noise."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import NormalDist, median

import numpy as np

from apograph.evidence.merge import LEAST
from apograph.evidence.transformation import Transformation
from apograph.findings import Exhibit, Json, Message

_LAYER = re.compile(r"(?:^|(?<=\.))\d+(?=\.|$)")
_UNLIKE = 2**0.5
"""Relative distance of independent tensors of equal size: the darkest shade."""
_CLASSES = 40
_QUANTILES = 99


def counted(told: Sequence[Transformation]) -> dict[str, int]:
    """How many tensors have each class, the commonest first."""
    return dict(Counter(t.kind for t in told).most_common())


def exhibits(told: Sequence[Transformation]) -> tuple[Exhibit, ...]:
    """The table by component (the reference's names, numbers as ``*``) and by tower (their first part)."""
    if not told:
        return ()
    components, towers = defaultdict(list), defaultdict(list)
    for t in told:
        name = t.match.reference.name
        components[re.sub(r"\d+", "*", name)].append(t)
        towers[name.split(".", 1)[0]].append(t)
    kinds = list(counted(told))
    columns: list[Json] = [
        *("weights_component", "weights_tensors", "weights_elements"),
        *(f"weights_class_{kind}" for kind in kinds),
        *("weights_correlation", "weights_sigma", "weights_detail"),
    ]
    tables = [
        Exhibit(
            "table",
            {"columns": columns, "rows": [_row(name, group, kinds) for name, group in groups.items()]},
            Message(f"weights.caption.{kind}"),
        )
        for kind, groups in (("towers", towers), ("components", components))
    ]
    maps = [m for name, group in towers.items() if (m := _layers(name, group)) is not None]
    return (*(tables if len(towers) > 1 else tables[1:]), *maps)


def _layers(tower: str, group: Sequence[Transformation]) -> Exhibit | None:
    """Layers by components of one tower: |b - a| over |a|, and the class. None where nothing is numbered."""
    found: dict[int, dict[str, Transformation]] = defaultdict(dict)
    for t in group:
        if (layer := _LAYER.search(t.match.reference.name)) is not None and t.matrix:
            own = found[int(layer[0])]
            name = t.match.reference.name[layer.end() + 1 :]
            # Two stacks of layers in one tower: the second's component by its whole path.
            own[t.match.reference.name[: layer.start()] + "*." + name if name in own else name] = t
    rows = sorted(found)
    columns = list(dict.fromkeys(name for row in rows for name in found[row]))
    if len(rows) < 2:
        return None
    cells = [[found[row].get(name) for name in columns] for row in rows]
    values: Json = [[None if t is None else _distance(t) for t in line] for line in cells]
    none: Json = {"key": "weights.class.none", "params": {}}
    texts: Json = [
        [none if t is None else {"key": f"weights.class.{t.kind}", "params": {}} for t in line]
        for line in cells
    ]
    data: dict[str, Json] = {"rows": list(rows), "columns": list(columns), "values": values, "texts": texts}
    data |= {"low": 0.0, "high": _UNLIKE}
    return Exhibit("heatmap", data, Message("weights.caption.layers", {"tower": tower}))


def _distance(t: Transformation) -> float | None:
    ratio = t.moments.sum_dd / t.moments.sum_aa if t.moments.sum_aa > 0 else math.inf
    return float(f"{math.sqrt(ratio):.4g}") if math.isfinite(ratio) else None


def _row(name: str, group: Sequence[Transformation], kinds: Sequence[str]) -> list[Json]:
    told = [t.correlation for t in group if t.correlation is not None]
    changed = [t.sigma for t in group if t.sigma > 0]
    counts = counted(group)
    return [
        name,
        len(group),
        sum(t.moments.n for t in group),
        *(counts.get(kind, 0) for kind in kinds),
        round(median(told), 6) if told else None,
        float(f"{median(changed):.6g}") if changed else None,
        "; ".join(dict.fromkeys(filter(None, map(_detail, group)))),
    ]


def _detail(t: Transformation) -> str:
    if t.grid is not None:
        return f"{t.grid.bits} bits, {t.grid.kind}, {t.grid.group}"
    if t.rank is not None:
        return f"rank {t.rank}"
    if t.zeros is not None:
        return f"{t.zeros:.0%} zero"
    if t.parts:
        return " + ".join(f"{c:.2f} {name}" for name, c in t.parts if abs(c) >= LEAST)
    return t.into or ""


def noise_exhibits(noisy: Sequence[Transformation]) -> tuple[Exhibit, ...]:
    """The first differences of every noisy tensor over their sigma: histogram and Q-Q plot."""
    heads = [t.head / np.float32(t.sigma) for t in noisy if t.head is not None]
    if not heads:
        return ()
    values = np.concatenate(heads).astype(np.float64)
    normal = NormalDist()
    edges = np.linspace(-5, 5, _CLASSES + 1)
    counts = np.histogram(values, edges)[0]
    law = np.diff([normal.cdf(x) for x in edges]) * len(values)
    levels = [(k + 1) / (_QUANTILES + 1) for k in range(_QUANTILES)]
    points = [[normal.inv_cdf(p), float(q)] for p, q in zip(levels, np.quantile(values, levels), strict=True)]
    name: Json = {"key": "weights.law", "params": {}}
    histogram: dict[str, Json] = {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "law": {"name": name, "values": law.tolist()},
    }
    measured: Json = {"key": "weights.measured", "params": {}}
    return (
        Exhibit("histogram", histogram, Message("weights.caption.histogram")),
        Exhibit("qq", {"points": list(points), "x": name, "y": measured}, Message("weights.caption.qq")),
    )
