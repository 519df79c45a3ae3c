"""The model that reads lines: trained from nothing, measured on lines with words it never saw."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apograph.lab.vision.render import draw_line
from apograph.lab.vision.texts import LONGEST, corpus, training_line
from apograph.lab.vision.tiny import CONFIG, READ
from apograph.lab.vision.train import Recipe, Sample, Step, fit

if TYPE_CHECKING:
    from apograph.minicpmv.model import Model
    from apograph.minicpmv.tokens import Tokenizer

RECIPE = Recipe(steps=1500)
UNSEEN = 1_000_003
"""Added to a seed: the distortions of measuring are never those of training."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How well lines were read: shares of characters (1 - edit distance / length), words and whole lines."""

    lines: int
    characters: float
    words: float
    whole: float


def training_sample(draw: random.Random, moment: float) -> Sample:
    """A line and its picture; short ones first."""
    longest = min(LONGEST, 2 + int(moment * 3.0 * LONGEST))
    return line_sample(training_line(draw, longest), draw)


def line_sample(text: str, draw: random.Random) -> Sample:
    """A line drawn; every query of the resampler has one letter's column."""
    return Sample(draw_line(text, draw), READ, text, text.ljust(CONFIG.query_num))


def train_reader(model: Model, tokenizer: Tokenizer, recipe: Recipe = RECIPE) -> Iterator[Step]:
    """Train a new model to read, step by step."""
    return fit(model, tokenizer, training_sample, recipe)


def held_out(count: int, seed: int = 0) -> list[Sample]:
    """Lines that hold a word kept from training, in renderings of their own."""
    draw = random.Random(seed + UNSEEN)
    lines = draw.sample(corpus().held_out, count)
    return [line_sample(line, draw) for line in lines]


def answers(model: Model, tokenizer: Tokenizer, samples: Sequence[Sample], at_once: int = 50) -> list[str]:
    """The model's greedy answers."""
    import torch

    from apograph.minicpmv.generate import Decoding, generate
    from apograph.minicpmv.image import prepare
    from apograph.minicpmv.prompt import Message, build

    said = []
    with torch.inference_mode():
        for start in range(0, len(samples), at_once):
            prompts = [
                build(
                    [Message("user", (prepare(sample.image, model.config), sample.question))],
                    tokenizer,
                    model.config,
                )
                for sample in samples[start : start + at_once]
            ]
            embeds = [model.embed(prompt) for prompt in prompts]
            made = generate(model, embeds, Decoding(max_new_tokens=48), tokenizer.special.stops)
            said += [tokenizer.decode(ids) for ids in made]
    return said


def measure(said: Sequence[str], samples: Sequence[Sample]) -> Reading:
    """Compare answers with what was drawn."""
    from apograph.behaviour.edit import distance

    keys = [sample.answer for sample in samples]
    wrong = sum(min(distance(a, b), len(b)) for a, b in zip(said, keys, strict=True))
    pairs = [(a.split(), b.split()) for a, b in zip(said, keys, strict=True)]
    words = sum(len(b) for _, b in pairs)
    right = sum(x == y for a, b in pairs for x, y in zip(a, b, strict=False))
    return Reading(
        len(keys),
        1 - wrong / sum(map(len, keys)),
        right / words,
        sum(a == b for a, b in zip(said, keys, strict=True)) / len(keys),
    )
