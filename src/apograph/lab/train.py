"""Training a small model, the same way every time: seeds, data and order decide every bit on one machine."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.lab.corpus import MASK, Data, tokenizer, tokens
from apograph.lab.families import Config, build

Weights: TypeAlias = dict[str, NDArray[Any]]
"""float32 arrays by the names of the release."""
LENGTH, BATCH = 32, 16
WARM_UP = 0.05
MASKED = 0.15
HELD_OUT = 128
"""Sequences at the end of the text that no batch is drawn from."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a model is trained: AdamW, warm-up, then a cosine down to a tenth of ``rate``.

    ``order`` seeds the batches alone; ``frozen`` are patterns of the names of parameters that stay as they
    are. A batch is 16 sequences of 32 tokens.
    """

    steps: int = 150
    rate: float = 3e-3
    data: Data = "main"
    order: int = 0
    decay: float = 0.1
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trained:
    """``losses`` every tenth step, ``held_out`` at the end on unseen text (nats per token)."""

    weights: Weights
    losses: tuple[float, ...]
    held_out: float
    seconds: float


def train(
    config: Config,
    seed: int,
    course: Course,
    start: Mapping[str, NDArray[Any]] | None = None,
    teacher: tuple[Config, Mapping[str, NDArray[Any]]] | None = None,
) -> Trained:
    """Train from the weights of ``seed``; the tensors of ``start`` take the place of those it names.

    With ``teacher`` (configuration and weights) the model learns the teacher's next-token distribution
    instead of the text (Hinton et al. 2015, temperature 1). Deterministic on one machine, one thread.
    """
    import torch

    began = time.monotonic()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = _model(config, seed)
        put_weights(model, start or {})
        source = None if teacher is None else loaded(*teacher)
        losses = fit(model, config, course, source)
        held_out = _held_out(model, config, course.data)
    finally:
        torch.set_num_threads(threads)
    return Trained(weights_of(model), tuple(losses), held_out, time.monotonic() - began)


def _model(config: Config, seed: int) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config).float()  # a parent may have been stored in another type


def loaded(config: Config, weights: Mapping[str, NDArray[Any]]) -> Any:
    """A model that computes with ``weights``, in float32."""
    model = _model(config, 0)
    put_weights(model, weights)
    return model.eval()


def weights_of(model: Any) -> Weights:
    """Copies of the tensors that a release of the model holds: tied ones once."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    return {name: t.detach().numpy().copy() for name, t in model.state_dict().items() if name not in tied}


def put_weights(model: Any, weights: Mapping[str, NDArray[Any]]) -> None:
    """Raises KeyError when the model has no tensor of a name."""
    import torch

    own = model.state_dict()
    with torch.no_grad():
        for name, array in weights.items():
            own[name].copy_(torch.from_numpy(np.ascontiguousarray(array, np.float32)))


def fit(model: Any, config: Config, course: Course, teacher: Any = None) -> list[float]:
    """Train ``model`` where it is; the loss of every tenth step. See ``train``."""
    import torch

    model.train()
    decayed: list[Any] = []
    plain: list[Any] = []
    for name, parameter in model.named_parameters():
        if any(re.search(pattern, name) for pattern in course.frozen):
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": course.decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=course.rate, betas=(0.9, 0.98), fused=True)
    random = np.random.default_rng(course.order)
    losses = []
    for number in range(course.steps):
        for group in optimiser.param_groups:
            group["lr"] = course.rate * _schedule(number, course.steps)
        loss = _loss(model, config, _batch(course.data, config, random), random, teacher)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*decayed, *plain], 1.0)
        optimiser.step()
        if number % 10 == 9:
            losses.append(round(float(loss.detach()), 4))
    return losses


def _schedule(number: int, steps: int) -> float:
    warm = max(1.0, WARM_UP * steps)
    if number < warm:
        return (number + 1) / warm
    return 0.1 + 0.45 * (1 + cos(pi * (number - warm) / max(1.0, steps - warm)))


def _batch(data: Data, config: Config, random: np.random.Generator) -> NDArray[np.int64]:
    ids = tokens(data, int(str(config["vocab_size"])))
    last = len(ids) - (HELD_OUT + 1) * LENGTH - 1
    return np.stack([ids[at : at + LENGTH + 1] for at in random.integers(0, last, BATCH)])


def _loss(
    model: Any, config: Config, batch: NDArray[np.int64], random: np.random.Generator, teacher: Any = None
) -> Any:
    """Mean cross-entropy: of the next tokens, of the masked ones, or against the teacher's distribution."""
    import torch
    from torch.nn import functional

    ids = torch.from_numpy(batch)
    if config["model_type"] == "bert":
        chosen = torch.from_numpy(random.random(batch.shape) < MASKED)
        mask = tokenizer(int(str(config["vocab_size"]))).token_to_id(MASK)
        logits = model(torch.where(chosen, mask, ids)).logits
        return functional.cross_entropy(logits[chosen], ids[chosen])
    logits = model(ids[:, :-1], use_cache=False).logits.flatten(0, 1)
    if teacher is None:
        return functional.cross_entropy(logits, ids[:, 1:].flatten())
    with torch.no_grad():
        wanted = functional.softmax(teacher(ids[:, :-1], use_cache=False).logits.flatten(0, 1), -1)
    return functional.cross_entropy(logits, wanted)


def _held_out(model: Any, config: Config, data: Data) -> float:
    import torch

    ids = tokens(data, int(str(config["vocab_size"])))[-HELD_OUT * LENGTH - 1 :]
    batch = np.stack([ids[at : at + LENGTH + 1] for at in range(0, HELD_OUT * LENGTH, LENGTH)])
    model.eval()
    with torch.no_grad():
        return round(float(_loss(model, config, batch, np.random.default_rng(0))), 4)
