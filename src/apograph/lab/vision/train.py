"""Training: batches of equal pictures, AdamW with a warm-up and half a cosine, loss on the answers only."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

    from apograph.minicpmv.model import Model
    from apograph.minicpmv.prompt import Prompt
    from apograph.minicpmv.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture, what is asked about it, and the answer to be learnt."""

    image: Image
    question: str
    answer: str
    under: str = ""
    """What each query of the resampler should know: a letter for each, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """``steps`` of ``batch`` samples; each sample that is drawn is used ``uses`` times within the run."""

    steps: int
    batch: int = 96
    rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    uses: int = 3
    kept: int = 4096
    seed: int = 0


Draw = Callable[[random.Random, float], Sample]
"""A sample for a moment of the run, 0 to 1."""
Encoded = tuple["Prompt", "Tensor", "Tensor"]
"""A prompt, its labels, and the ids (Q,) of ``Sample.under``."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is: the step, its loss (nats per answer token), that of the hints, processor seconds."""

    number: int
    loss: float
    hinted: float
    seconds: float


def encode(sample: Sample, tokenizer: Tokenizer, model: Model) -> Encoded:
    """One conversation of two turns."""
    import torch

    from apograph.minicpmv.examples import IGNORED, encode_turns
    from apograph.minicpmv.image import prepare
    from apograph.minicpmv.prompt import Message

    picture = prepare(sample.image, model.config)
    turns = (Message("user", (picture, sample.question)), Message("assistant", (sample.answer,)))
    prompt, labels = encode_turns(turns, tokenizer, model.config)
    under = [id_ for letter in sample.under for id_ in tokenizer.encode(letter)]
    return prompt, labels, torch.tensor(under or [IGNORED] * model.config.query_num)


def loss_of(model: Model, batch: Sequence[Encoded], hint: nn.Module | None = None) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the answers of a batch whose pictures all have one shape, and that of what
    ``hint`` says of each query's letter (0 without)."""
    import torch
    from torch.nn import functional

    from apograph.minicpmv.examples import IGNORED

    longest = max(len(prompt.ids) for prompt, _, _ in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    labels = torch.full((len(batch), longest), IGNORED)
    places = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, (prompt, wanted, _) in enumerate(batch):
        ids[row, : len(prompt.ids)] = torch.tensor(prompt.ids)
        labels[row, : len(wanted)] = wanted
        for start, stop in prompt.places:
            places[row, start:stop] = True
    seen = model.see([picture for prompt, _, _ in batch for picture in prompt.pictures])
    embeds = model.embedding(ids)
    embeds = embeds.masked_scatter(places[..., None], seen.to(embeds))  # padding stands right of all answers
    hidden = model.llm.model(inputs_embeds=embeds, use_cache=False).last_hidden_state  # type: ignore[operator]
    told = labels != IGNORED
    logits = model.llm.lm_head(hidden[told])  # type: ignore[operator]
    loss = functional.cross_entropy(logits.float(), labels[told])
    letters = torch.stack([under for _, _, under in batch])  # (B, Q)
    known = letters != IGNORED
    if hint is None or not known.any():
        return loss, loss.new_zeros(())
    return loss, functional.cross_entropy(hint(seen[known]).float(), letters[known])


def fit(model: Model, tokenizer: Tokenizer, draw: Draw, recipe: Recipe) -> Iterator[Step]:
    """Train in place, yielding every step. Repeatable on one machine: all draws come from the seed."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from apograph.minicpmv.finetune import Recipe as Schedule
    from apograph.minicpmv.finetune import rate_at

    dice = random.Random(recipe.seed)
    torch.manual_seed(recipe.seed)
    hint = torch.nn.Linear(model.config.hidden_size, model.config.vocab_size)
    optimiser = torch.optim.AdamW(
        [*model.parameters(), *hint.parameters()],
        lr=recipe.rate,
        betas=(0.9, 0.98),
        weight_decay=recipe.weight_decay,
    )
    schedule = Schedule(steps=recipe.steps, rate=recipe.rate, warmup=recipe.warmup / recipe.steps)
    kept: list[Encoded] = []
    start = time.process_time()
    model.train()
    for step in range(recipe.steps):
        fresh = recipe.batch if len(kept) < recipe.batch else -(-recipe.batch // recipe.uses)
        new = [encode(draw(dice, step / recipe.steps), tokenizer, model) for _ in range(fresh)]
        batch = new + dice.sample(kept, recipe.batch - fresh) if fresh < recipe.batch else new
        kept = (kept + new)[-recipe.kept :]
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, schedule)
        # The fused attention of CPUs takes four times as long on its way back in bfloat16.
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            loss, hinted = loss_of(model, batch, hint)
            (loss + hinted).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        yield Step(step, loss.item(), hinted.item(), time.process_time() - start)
    model.eval()
