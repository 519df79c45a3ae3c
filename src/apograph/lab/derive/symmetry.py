"""Changes of order, sign and scale that leave every logit as it is (up to rounding)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Block, Tower, View
from apograph.lab.derive import Manipulation, Work, copied
from apograph.lab.layout import read, tower_of, views, write
from apograph.lab.model import Model
from apograph.lab.train import Weights


def units_permuted(work: Work) -> None:
    """The hidden units of every MLP in a random order."""
    weights, tower = _begin(work)
    for n, block in enumerate(tower.blocks):
        mlp = block.mlps[0]
        order = work.random.permutation(len(read(weights, mlp.up)))
        for view in (mlp.gate, mlp.up, mlp.up_bias):
            _rows(weights, view, order)
        _columns(weights, mlp.down, order)
        work.moved(f"units.{n}", order)
    work.model = work.model.using(weights)


def heads_permuted(work: Work) -> None:
    """The key/value groups of every layer in a random order, and the query heads within each group."""
    weights, tower = _begin(work)
    for n, block in enumerate(tower.blocks):
        a = attention_of(block)
        groups = work.random.permutation(a.groups)
        share = a.heads // a.groups
        heads = np.concatenate([g * share + work.random.permutation(share) for g in groups])
        wide, narrow = (_spread(order, a.size) for order in (heads, groups))
        for view, order in ((a.q, wide), (a.k, narrow), (a.v, narrow)):
            _rows(weights, view, order)
        for bias, order in zip(a.biases[:3], (wide, narrow, narrow), strict=True):
            _rows(weights, bias, order)
        _columns(weights, a.o, wide)
        work.moved(f"heads.{n}", groups)
        work.moved(f"queries.{n}", heads)
    work.model = work.model.using(weights)


def channels_permuted(work: Work) -> None:
    """The channels of the residual stream in a random order."""
    weights, tower = _begin(work)
    order = work.random.permutation(tower.width)
    on_channels(work.model, weights, lambda m: m[..., order], lambda m: m[order])
    work.moved("channels", order)
    work.model = work.model.using(weights)


def signs_flipped(work: Work) -> None:
    """Random signs: up with down, v with o, planes of q with k; the residual channels too where no norm
    subtracts a mean."""
    weights, tower = _begin(work)
    for n, block in enumerate(tower.blocks):
        mlp, a = block.mlps[0], attention_of(block)
        if mlp.gate is not None:
            signs = _coins(work, len(read(weights, mlp.up)))
            _rows(weights, mlp.up, signs)
            _columns(weights, mlp.down, signs)
            work.flipped(f"units.{n}", signs)
        share = a.heads // a.groups
        value = _coins(work, a.groups * a.size)
        _rows(weights, a.v, value)
        _rows(weights, a.biases[2], value)
        _columns(weights, a.o, _repeated(value, a.size, share))
        key = (
            _planes(a, _coins(work, a.groups * a.size // 2))
            if a.rotary == "half"
            else _coins(work, len(value))
        )
        for view, signs in ((a.k, key), (a.biases[1], key), (a.q, _repeated(key, a.size, share))):
            _rows(weights, view, signs)
        _rows(weights, a.biases[0], _repeated(key, a.size, share))
    if str(work.model.config["model_type"]) == "llama":
        signs = _coins(work, tower.width)
        matrices = {n: w for n, w in weights.items() if w.ndim > 1}
        on_channels(work.model, matrices, lambda m: m * signs, lambda m: (m.T * signs).T)
        work.flipped("channels", signs)
    work.model = work.model.using(weights)


def rescaled(work: Work, spread: float = 0.5) -> None:
    """Scales exp(spread x normal): every plane of k against q, every row of v against o, every row of up
    against down in a gated MLP, every channel of a norm's gain against what reads it."""
    weights, tower = _begin(work)
    for block in tower.blocks:
        mlp, a = block.mlps[0], attention_of(block)
        share = a.heads // a.groups
        value = _scales(work, a.groups * a.size, spread)
        key = _planes(a, _scales(work, a.groups * a.size // 2, spread))
        key = key if a.rotary == "half" else _scales(work, len(value), spread)
        for view, scale in ((a.v, value), (a.biases[2], value), (a.k, key), (a.biases[1], key)):
            _rows(weights, view, scale)
        _columns(weights, a.o, 1 / _repeated(value, a.size, share))
        for view in (a.q, a.biases[0]):
            _rows(weights, view, 1 / _repeated(key, a.size, share))
        if mlp.gate is not None:
            scale = _scales(work, len(read(weights, mlp.up)), spread)
            _rows(weights, mlp.up, scale)
            _columns(weights, mlp.down, 1 / scale)
    work.model = work.model.using(weights)


def tokens_renumbered(work: Work) -> None:
    """Every token under another number, in the embeddings, the head and tokenizer.json alike."""
    import json

    weights, tower = _begin(work)
    assert tower.embedding is not None
    size = len(read(weights, tower.embedding))
    order = work.random.permutation(size)
    for view in {tower.embedding, tower.head}:
        _rows(weights, view, order)
    if "cls.predictions.bias" in weights:
        _rows(weights, View("cls.predictions.bias"), order)
    place = np.argsort(order)
    tokenizer = json.loads(work.model.tokenizer) if work.model.tokenizer else {}
    if tokenizer:
        vocabulary = tokenizer["model"]["vocab"]
        tokenizer["model"]["vocab"] = {t: int(place[i]) for t, i in vocabulary.items()}
        for token in tokenizer["added_tokens"]:
            token["id"] = int(place[token["id"]])
    fields = {k: int(place[int(v)]) for k, v in work.model.config.items() if k.endswith("_token_id")}  # type: ignore[arg-type]
    work.moved("tokens", order)
    model = work.model.using(weights, **fields)
    work.model = replace(model, tokenizer=json.dumps(tokenizer) if tokenizer else "")


Change: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def on_channels(model: Model, weights: Weights, last: Change, first: Change) -> None:
    """Apply ``last`` to the last axis of all that reads the residual stream or is a vector over it, and
    ``first`` to the first axis of all that writes to it, seen as [out, in]. Absent tensors are left."""
    tower = tower_of(model)
    writers = {v for b in tower.blocks for v in (attention_of(b).o, b.mlps[0].down)}
    apart = {
        v for b in tower.blocks for v in (*attention_of(b).biases[:3], b.mlps[0].up_bias, b.mlps[0].gate_bias)
    }
    for view in views(tower):
        if view in apart or view.name not in weights:
            continue
        write(weights, view, (first if view in writers else last)(read(weights, view)))
    for name in [n for n in weights if n.startswith("cls.predictions.transform")]:
        if name.endswith("dense.weight"):
            weights[name] = last(first(weights[name]))
        else:
            weights[name] = last(weights[name])


def _begin(work: Work) -> tuple[Weights, Tower]:
    return copied(work.model.weights), tower_of(work.model)


def attention_of(block: Block) -> Attention:
    """Every block of the lab's has one."""
    assert block.attention is not None
    return block.attention


def _rows(weights: Weights, view: View | None, how: NDArray[Any]) -> None:
    """Rows in another order (integers), or multiplied."""
    if view is not None:
        matrix = read(weights, view)
        write(weights, view, _applied(matrix, how))


def _columns(weights: Weights, view: View, how: NDArray[Any]) -> None:
    write(weights, view, _applied(read(weights, view).T, how).T)


def _applied(matrix: NDArray[Any], how: NDArray[Any]) -> NDArray[Any]:
    if how.dtype.kind == "i":
        return np.asarray(matrix[how])
    return np.asarray((matrix.T * how).T, np.float32)


def _spread(order: NDArray[Any], size: int) -> NDArray[Any]:
    spread: NDArray[Any] = (order[:, None] * size + np.arange(size)).reshape(-1)
    return spread


def _repeated(values: NDArray[Any], size: int, share: int) -> NDArray[Any]:
    """Values of the key/value groups, repeated for every query head of each group."""
    return np.repeat(values.reshape(-1, size), share, axis=0).reshape(-1)


def _planes(a: Attention, values: NDArray[Any]) -> NDArray[Any]:
    """One value for each rotated plane (i, i + size/2), given to both of its rows."""
    return np.tile(values.reshape(a.groups, -1), (1, 2)).reshape(-1)


def _coins(work: Work, n: int) -> NDArray[Any]:
    return 1.0 - 2.0 * work.random.integers(0, 2, n)


def _scales(work: Work, n: int, spread: float) -> NDArray[Any]:
    return np.exp(spread * work.random.standard_normal(n))


MANIPULATIONS: Mapping[str, Manipulation] = {
    "units permuted": units_permuted,
    "heads permuted": heads_permuted,
    "channels permuted": channels_permuted,
    "signs flipped": signs_flipped,
    "rescaled": rescaled,
    "tokens renumbered": tokens_renumbered,
}
LOSSLESS = (*MANIPULATIONS, "gains folded", "rotated", "values mixed", "planes turned", "renamed", "framed")
"""Manipulations after which the model computes what it did."""
