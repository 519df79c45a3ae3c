"""Decoding: greedy, sampling and beams, in the order of operations of transformers' ``generate``.

The prompt enters as embeddings, so the repetition penalty sees generated ids only, as in the published
code. Rows of unequal length are padded on the left and masked; the published code passed no mask, so that
its batches of unequal prompts were unsound. Sources: Keskar et al. 2019 (CTRL, arXiv 1909.05858, section
4.1: repetition penalty), Holtzman et al. 2020 (arXiv 1904.09751: top-p), Fan et al. 2018 (arXiv 1805.04833:
top-k).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from apograph.minicpmv.model import Model


@dataclass(frozen=True, slots=True)
class Decoding:
    """How an answer is chosen. ``seed`` makes sampling repeatable; None draws a fresh one."""

    max_new_tokens: int = 1024
    sample: bool = False
    beams: int = 1
    repetition_penalty: float = 1.0
    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 100
    length_penalty: float = 1.0
    seed: int | None = None


GREEDY = Decoding()
SAMPLING = Decoding(sample=True, repetition_penalty=1.05)
"""What the published chat used by default."""
BEAMS = Decoding(beams=3, repetition_penalty=1.2)
"""What the published chat used without sampling."""


def new_cache() -> Any:
    """An empty key-value cache."""
    from transformers import DynamicCache

    return DynamicCache()


@torch.inference_mode()
def stream(
    model: Model,
    prompts: Sequence[Tensor],
    decoding: Decoding,
    stops: Sequence[int],
    cache: Any = None,
    past: int = 0,
) -> Iterator[list[int | None]]:
    """Generate for prompts (T_i, D) in step: each step yields one id per prompt, None once it has ended.

    A stop id is yielded, then the row ends. ``cache`` already holds ``past`` positions of the only prompt
    (reuse between turns); it is extended in place and ends with every position but the last id yielded.
    """
    embeds, mask = pad_left(prompts)
    if past:
        mask = torch.ones(1, past + embeds.shape[1], dtype=torch.bool, device=mask.device)
    cache = new_cache() if cache is None else cache
    generator = torch.Generator(model.device)
    generator.seed() if decoding.seed is None else generator.manual_seed(decoding.seed)
    rows = len(prompts)
    ended = torch.zeros(rows, dtype=torch.bool, device=model.device)
    stop_ids = torch.tensor(list(stops), device=model.device)
    produced = torch.empty(rows, 0, dtype=torch.long, device=model.device)
    for step in range(decoding.max_new_tokens):
        logits = model(embeds, mask, cache, keep=1)[:, -1].float()  # (B, vocab)
        ids = choose(penalised(logits, produced, decoding.repetition_penalty), decoding, generator)
        yield [None if over else id_ for over, id_ in zip(ended.tolist(), ids.tolist(), strict=True)]
        ended |= torch.isin(ids, stop_ids)
        if ended.all() or step + 1 == decoding.max_new_tokens:
            return
        produced = torch.cat([produced, ids[:, None]], dim=1)
        embeds = model.embedding(ids)[:, None]
        mask = torch.cat([mask, mask.new_ones(rows, 1)], dim=1)


def pad_left(prompts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(T_i, D) each -> embeddings (B, T, D) and mask (B, T), aligned at the end."""
    longest = max(len(p) for p in prompts)
    embeds = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[-1])
    mask = torch.zeros(len(prompts), longest, dtype=torch.bool, device=embeds.device)
    for row, prompt in enumerate(prompts):
        embeds[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = True
    return embeds, mask


def penalised(scores: Tensor, produced: Tensor, penalty: float) -> Tensor:
    """``scores`` (B, vocab) with ids that were ``produced`` (B, n) less likely: positive ones divided,
    negative ones multiplied."""
    if penalty == 1.0 or not produced.shape[1]:
        return scores
    seen = scores.gather(1, produced)
    return scores.scatter(1, produced, torch.where(seen < 0, seen * penalty, seen / penalty))


def choose(logits: Tensor, decoding: Decoding, generator: torch.Generator) -> Tensor:
    """logits (B, vocab) -> ids (B,): the best, or drawn after temperature, top-k and top-p."""
    if not decoding.sample:
        return logits.argmax(-1)
    logits = logits / decoding.temperature
    kept, ids = logits.topk(min(decoding.top_k, logits.shape[-1]))  # descending
    before = kept.softmax(-1).cumsum(-1) - kept.softmax(-1)
    kept = kept.masked_fill(before >= decoding.top_p, -torch.inf)  # the first is always kept
    drawn = torch.multinomial(kept.softmax(-1), 1, generator=generator)
    return ids.gather(1, drawn)[:, 0]


@torch.inference_mode()
def beam_search(
    model: Model,
    prompt: Tensor,
    decoding: Decoding,
    stops: Sequence[int],
) -> list[int]:
    """The best of ``decoding.beams`` continuations of one prompt (T, D), by mean log probability.

    As transformers does it: the penalty acts on log probabilities; of the best 2 * beams (or more, so that
    every beam could stop) continuations those that stop are kept as hypotheses when they rank among the
    first ``beams``; the search ends when no running beam can still beat the worst of ``beams`` hypotheses
    at its present length. Whichever stop id ended it, the answer ends with the first of ``stops``, as
    theirs did.
    """
    width = decoding.beams
    cache = new_cache()
    # One forward over the prompt, then the beams share its cache by copies.
    logits = model(prompt[None], None, cache, keep=1)[:, -1].float()
    cache.batch_repeat_interleave(width)
    logits = logits.expand(width, -1)
    scores = torch.full((width,), -1e9, device=model.device)
    scores[0] = 0.0
    produced = torch.empty(width, 0, dtype=torch.long, device=model.device)
    done: list[tuple[float, list[int]]] = []
    for step in range(decoding.max_new_tokens):
        steps = penalised(logits.log_softmax(-1), produced, decoding.repetition_penalty) + scores[:, None]
        best, flat = steps.flatten().topk(max(2, 1 + len(stops)) * width)
        running: list[tuple[float, int, int]] = []
        for rank, (score, index) in enumerate(zip(best.tolist(), flat.tolist(), strict=True)):
            beam, id_ = divmod(index, logits.shape[-1])
            if id_ in stops:
                if rank < width:
                    norm = (step + 1) ** decoding.length_penalty
                    done.append((score / norm, [*produced[beam].tolist(), stops[0]]))
            else:
                running.append((score, beam, id_))
            if len(running) == width:
                break
        done = sorted(done, key=lambda hypothesis: -hypothesis[0])[:width]
        attainable = best[0].item() / (step + 1) ** decoding.length_penalty
        if len(done) == width and done[-1][0] >= attainable:
            return done[0][1]
        scores = torch.tensor([r[0] for r in running], device=model.device)
        beams = torch.tensor([r[1] for r in running], device=model.device)
        ids = torch.tensor([r[2] for r in running], device=model.device)
        produced = torch.cat([produced[beams], ids[:, None]], dim=1)
        if step + 1 < decoding.max_new_tokens:
            cache.reorder_cache(beams)
            logits = model(model.embedding(ids)[:, None], None, cache, keep=1)[:, -1].float()
    norm = produced.shape[1] ** decoding.length_penalty
    done += [(score / norm, ids) for score, ids in zip(scores.tolist(), produced.tolist(), strict=True)]
    return max(done, key=lambda hypothesis: hypothesis[0])[1]


def generate(
    model: Model, prompts: Sequence[Tensor], decoding: Decoding, stops: Sequence[int]
) -> list[list[int]]:
    """prompts (T_i, D) -> the ids of all answers at once, stop ids included."""
    if decoding.beams > 1:
        return [beam_search(model, prompt, decoding, stops) for prompt in prompts]
    answers: list[list[int]] = [[] for _ in prompts]
    for step in stream(model, prompts, decoding, stops):
        for answer, id_ in zip(answers, step, strict=True):
            if id_ is not None:
                answer.append(id_)
    return answers
