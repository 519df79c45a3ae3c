"""The space in which a model's logits lie: the columns of its output layer.

Finlayson et al. 2024, arXiv 2403.09539. A logit vector over V tokens is W·x + b with W (V, h), h far below V:
all logits of one model lie in h of V dimensions. Both W and the vectors are centred over the tokens, for
log-probabilities are logits up to a constant, and the vectors over themselves too, which takes out b, logit
biases and whatever else is added to all alike.

A vector without any relation to the space keeps √(1 - h/(T - 1)) of its length outside of it, T the tokens
looked at (its h coordinates within are h of T - 1 equal ones, on average). Real models of one vocabulary keep
less: rare tokens are rare for all of them. So that figure is a yardstick, not a null hypothesis with a level.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.release.tensor_store import TensorStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_VECTORS = 256
MOST_VALUES = 1 << 26
"""Vectors looked at, and values held of them."""
MARGIN = 4096
"""Tokens looked at beyond the width of the space: constraints enough, and a system solved in seconds."""
_FLAT = 1e-12
_RIDGE = 1e-9


def chosen_tokens(vocabulary: int, hidden: int) -> NDArray[Any]:
    """Token ids at which vectors and space are compared, evenly spaced over the vocabulary."""
    count = min(vocabulary, hidden + MARGIN)
    return np.linspace(0, vocabulary - 1, count).round().astype(np.int64)


def chosen_vectors(count: int, vocabulary: int) -> NDArray[Any]:
    """Which of ``count`` vectors are looked at: evenly spaced ones, at most 256 and 2^26 values."""
    most = min(count, MOST_VECTORS, MOST_VALUES // vocabulary)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def rows(store: TensorStore, name: str, wanted: NDArray[Any]) -> NDArray[Any]:
    """Rows ``wanted`` of a matrix (rows, width), as float64."""
    width = int((store.infos[name].shape or ())[1])
    found = np.empty((len(wanted), width))
    for n, row in enumerate(wanted.tolist()):
        found[n] = store.block(name, row * width, (row + 1) * width)
    return found


def unrelated(tokens: int, hidden: int) -> float:
    """The share of its length that a vector without relation to the space leaves outside."""
    return math.sqrt(max(0.0, 1.0 - hidden / (tokens - 1)))


def residual(head: NDArray[Any], logits: NDArray[Any]) -> float | None:
    """The share of the vectors' length (root of the sum of squares) outside the space, 0 to 1.

    ``head`` (tokens, hidden), ``logits`` (vectors, tokens), both finite, at the same tokens. None where it
    has no meaning: fewer than two vectors, all of them alike, or no more tokens than dimensions.
    """
    from scipy.linalg import cho_factor, cho_solve

    tokens, hidden = head.shape
    if len(logits) < 2 or tokens - 1 <= hidden:
        return None
    z = _scaled(logits)
    z -= z.mean(axis=1, keepdims=True)
    length = float((z**2).sum())
    z -= z.mean(axis=0)
    total = float((z**2).sum())
    if total <= _FLAT * length:
        return None
    w = _scaled(head)
    w -= w.mean(axis=0)
    gram = w.T @ w
    # Dimensions that the layer does not use would make the system singular; what is added is above the
    # rounding of the sums; it costs 3e-5 of the length, 2e-4 in a basis that is badly conditioned.
    gram[np.diag_indices(hidden)] += _RIDGE * float(np.trace(gram)) / hidden + 1e-300
    reached = w.T @ z.T
    inside = float((reached * cho_solve(cho_factor(gram, lower=True, overwrite_a=True), reached)).sum())
    return math.sqrt(min(max(1.0 - inside / total, 0.0), 1.0))


def _scaled(values: NDArray[Any]) -> NDArray[Any]:
    """A copy within ±1: squares of what anybody may have written overflow."""
    scaled: NDArray[Any] = values / max(float(np.abs(values).max(initial=0.0)), 1e-300)
    return scaled
