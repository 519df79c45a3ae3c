"""The pictures of docs/accuracy.md, as small SVG files that come out the same for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = (4.2, 3.2)
"""Inches."""


def p_values(plain: Mapping[str, NDArray[Any]], mixed: Mapping[str, NDArray[Any]], file: Path) -> None:
    """The distribution of p-values and of their randomised versions, by family, against the uniform law."""
    figure, axes = _figure(2)
    for values, place, title in ((plain, axes[0], "p"), (mixed, axes[1], "randomised p")):
        for family, p in values.items():
            ordered = np.sort(p)
            kept = np.unique(np.linspace(0, len(ordered) - 1, 200).astype(int))
            place.plot(ordered[kept], (kept + 1) / len(ordered), label=family, linewidth=1.2)
        place.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        place.set(title=title, xlabel="p", ylabel="share of modules", xlim=(0, 1), ylim=(0, 1))
    axes[0].legend(frameon=False)
    _save(figure, file)


def scores(groups: Mapping[str, Sequence[float]], file: Path) -> None:
    """Every pair's score, one row for each group."""
    figure, axes = _figure(1, height=0.9 + 0.2 * len(groups))
    for row, values in enumerate(groups.values()):
        axes[0].plot(values, [row] * len(values), "|", markersize=7, color="C0")
    axes[0].set_yticks(range(len(groups)), list(groups), fontsize=7)
    axes[0].set(xlabel="score", xlim=(-0.1, 3.1), ylim=(len(groups) - 0.5, -0.5))
    _save(figure, file)


def curves(by_method: Mapping[str, tuple[Sequence[float], Sequence[float]]], file: Path) -> None:
    """ROC curves: (positive, negative) scores by method; false positives on a logarithmic axis."""
    figure, axes = _figure(1)
    for method, (positive, negative) in by_method.items():
        limits = np.unique([*positive, *negative])[::-1]
        false = [np.mean(np.asarray(negative) >= x) for x in limits]
        true = [np.mean(np.asarray(positive) >= x) for x in limits]
        axes[0].step([1e-3, *np.maximum(false, 1e-3)], [0, *true], where="post", label=method, linewidth=1.2)
    axes[0].set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1.02), xlabel="false positives", ylabel="found")
    axes[0].legend(frameon=False, fontsize=7, loc="lower right")
    _save(figure, file)


def _figure(n: int, height: float = SIZE[1]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0] * n, height), layout="constrained")
    return figure, figure.subplots(1, n, squeeze=False)[0]


def _save(figure: Any, file: Path) -> None:
    import matplotlib

    file.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": file.name, "svg.fonttype": "none"}):
        figure.savefig(file, metadata={"Date": None})
