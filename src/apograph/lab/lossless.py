"""Whether two models compute the same: their logits over a piece of text, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Json
from apograph.lab.corpus import tokens
from apograph.lab.layout import number
from apograph.lab.model import Model
from apograph.lab.train import loaded

SEQUENCES, LENGTH = 8, 32


def logits(model: Model, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """[sequences, length, vocabulary] for token ids [sequences, length]."""
    import torch

    with torch.no_grad():
        found: NDArray[np.float64] = (
            loaded(model.config, model.weights).double()(torch.from_numpy(ids)).logits.numpy()
        )
    return found


def logits_change(parent: Model, child: Model, order: NDArray[np.int64] | None = None) -> dict[str, Json]:
    """The greatest difference of any logit, and the logits' standard deviation beside it.

    ``order`` [vocabulary]: token i of the child is token ``order[i]`` of the parent. What remains of a
    lossless change is the rounding of its weights to float32.
    """
    ids = tokens("main", number(parent.config, "vocab_size"))[: SEQUENCES * LENGTH].reshape(SEQUENCES, LENGTH)
    before = logits(parent, ids)
    theirs = ids if order is None else np.argsort(order)[ids]
    after: Any = logits(child, theirs)
    wanted = before if order is None else before[..., order]
    return {"greatest": float(np.abs(after - wanted).max()), "sd": float(before.std())}
