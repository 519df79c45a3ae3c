"""The model that reads lines: trained from nothing, measured on lines with words it never saw."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from apograph.lab.vision.render import draw_line
from apograph.lab.vision.texts import LONGEST, corpus, has_held_out, training_line
from apograph.lab.vision.tiny import CONFIG, READ, new_model, save, tokenizer
from apograph.lab.vision.train import Recipe, Sample, Step, fit

RECIPE = Recipe(steps=1500)
CACHED = Path(__file__).parent / "reader"
"""The release that ``apograph lab read`` wrote with seed 0."""
UNSEEN = 1_000_003
"""Added to a seed: the distortions of measuring are never those of training."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How well lines were read: shares of characters (1 - edit distance / length), of words, of words kept
    from training (``unseen``), and of whole lines."""

    lines: int
    characters: float
    words: float
    unseen: float
    whole: float


def training_sample(draw: random.Random, moment: float) -> Sample:
    """A line and its picture; short ones first."""
    longest = min(LONGEST, 2 + int(moment * 3.0 * LONGEST))
    return line_sample(training_line(draw, longest), draw)


def line_sample(text: str, draw: random.Random) -> Sample:
    """A line drawn; every query of the resampler has one letter's column."""
    return Sample(draw_line(text, draw), READ, text, text.ljust(CONFIG.query_num))


def train_and_save(folder: Path, seed: int = 0, recipe: Recipe = RECIPE) -> Iterator[Step]:
    """Train a new model to read, step by step, and write it as a release. One thread, so that sums do not
    depend on the number of cores."""
    import torch

    torch.set_num_threads(1)
    model = new_model(seed)
    yield from fit(model, tokenizer(), training_sample, replace(recipe, seed=seed))
    save(model, folder)


def measure_release(folder: Path, lines: int) -> Reading:
    """How well a release reads ``lines`` lines."""
    from apograph.lab.vision.copies import answers, open_model

    samples = held_out(lines)
    return measure(answers(*open_model(folder), samples), samples)


def held_out(count: int, seed: int = 0) -> list[Sample]:
    """Lines that hold a word kept from training, in renderings of their own."""
    draw = random.Random(seed + UNSEEN)
    lines = draw.sample(corpus().held_out, count)
    return [line_sample(line, draw) for line in lines]


def measure(said: Sequence[str], samples: Sequence[Sample]) -> Reading:
    """Compare answers with what was drawn."""
    from apograph.behaviour.edit import distance

    keys = [sample.answer for sample in samples]
    wrong = sum(min(distance(a, b), len(b)) for a, b in zip(said, keys, strict=True))
    words = [
        (word, at < len(a.split()) and a.split()[at] == word)
        for a, b in zip(said, keys, strict=True)
        for at, word in enumerate(b.split())
    ]
    unseen = [right for word, right in words if has_held_out(word)]
    return Reading(
        lines=len(keys),
        characters=1 - wrong / sum(map(len, keys)),
        words=sum(right for _, right in words) / len(words),
        unseen=sum(unseen) / len(unseen),
        whole=sum(a == b for a, b in zip(said, keys, strict=True)) / len(keys),
    )
