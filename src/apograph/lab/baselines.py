"""Published fingerprints of weights, in our own implementation, to be measured on the same pairs as ours.

They are given the true roles of all tensors, which they otherwise take from the tensors' names. Each is one
number for a pair of models; where a method says nothing of a pair (other vocabulary, width or architecture)
the number is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Tower
from apograph.evidence.invariant_measures import unbiased_cka
from apograph.lab.layout import read, tower_of
from apograph.lab.model import Model

Matrix = NDArray[np.float64]
TOKENS = 256
"""Rows of the embeddings that HuRef looks at (the paper takes 4096 of a hundred times as many)."""
LAST = 2
"""Layers, counted from the last, that HuRef looks at."""


def attention_std(a: Model, b: Model) -> float | None:
    """Standard deviations of the four attention matrices, layer by layer and each sequence standardised;
    their correlation, averaged over the matrices (arXiv 2507.03014, section 3)."""
    spreads = [_spreads(model) for model in (a, b)]
    layers = min(len(s) for s in spreads)
    if layers < 3:
        return None
    found = [np.corrcoef(spreads[0][:layers, n], spreads[1][:layers, n])[0, 1] for n in range(4)]
    return float(np.nan_to_num(np.mean(found)))


def _spreads(model: Model) -> Matrix:
    """[layers, 4]"""
    attentions = [block.attention for block in tower_of(model).blocks if block.attention is not None]
    views = [(at.q, at.k, at.v, at.o) for at in attentions]
    return np.array([[read(model.weights, view).std() for view in four] for four in views])


def huref(a: Model, b: Model) -> float | None:
    """Cosine of the terms that permuting or rotating the residual stream does not change, E Wq' Wk E',
    E Wv' Wo' E' and E Wup' Wdown' E', in the last layers and averaged (arXiv 2312.04828, section 4)."""
    terms = [_invariants(model) for model in (a, b)]
    if len(terms[0]) != len(terms[1]) or any(x.shape != y.shape for x, y in zip(*terms, strict=True)):
        return None
    return float(np.mean([_cosine(x, y) for x, y in zip(*terms, strict=True)]))


def _invariants(model: Model) -> list[Matrix]:
    tower = tower_of(model)
    e = _embedding(model, tower)[:TOKENS]
    terms = []
    for block in tower.blocks[-LAST:]:
        at = block.attention
        if at is not None:
            q, k, v, o = (read(model.weights, w).astype(float) for w in (at.q, at.k, at.v, at.o))
            k, v = (_repeated(w, at) for w in (k, v))
            terms += [e @ (q.T @ k) @ e.T, e @ (v.T @ o.T) @ e.T]
        up, down = (read(model.weights, w).astype(float) for w in (block.mlps[0].up, block.mlps[0].down))
        terms.append(e @ (up.T @ down.T) @ e.T)
    return terms


def _repeated(w: Matrix, at: Attention) -> Matrix:
    """Rows of key/value heads once for every query head that uses them."""
    return w.reshape(at.groups, at.size, -1).repeat(at.heads // at.groups, axis=0).reshape(-1, w.shape[1])


def awm(a: Model, b: Model) -> float | None:
    """Channels assigned to each other, with their signs, by the embeddings (Kuhn-Munkres), then unbiased
    linear CKA of the query and of the key matrices, averaged over the layers (arXiv 2510.06738)."""
    from scipy.optimize import linear_sum_assignment

    towers = [tower_of(model) for model in (a, b)]
    words = [_embedding(m, t) for m, t in zip((a, b), towers, strict=True)]
    tokens = min(len(w) for w in words)
    if towers[0].width != towers[1].width:
        return None
    x, y = (w[:tokens] / np.maximum(np.linalg.norm(w[:tokens], axis=0), 1e-30) for w in words)
    cross = x.T @ y
    order = linear_sum_assignment(-np.abs(cross))[1]
    sign = np.sign(cross[np.arange(len(order)), order])
    found = []
    for one, other in zip(towers[0].blocks, towers[1].blocks, strict=False):
        if one.attention is None or other.attention is None:
            return None
        for role in ("q", "k"):
            mine = read(a.weights, getattr(one.attention, role)).T.astype(float)
            theirs = read(b.weights, getattr(other.attention, role)).T.astype(float)
            found.append(unbiased_cka(mine, theirs[order] * sign[:, None]))
    return float(np.mean(found))


def _embedding(model: Model, tower: Tower) -> Matrix:
    assert tower.embedding is not None  # every family of the lab has one
    return read(model.weights, tower.embedding).astype(float)


def _cosine(x: Matrix, y: Matrix) -> float:
    return float((x * y).sum() / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-30))


BASELINES: Mapping[str, Callable[[Model, Model], float | None]] = {
    "AWM": awm,
    "HuRef": huref,
    "attention std": attention_std,
}
