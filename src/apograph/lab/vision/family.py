"""The models of the glyph experiment: who starts from what, learns what, and who is a copy of whom."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from apograph.lab.vision.glyphs import ON_SLIP, School, school, slip
from apograph.lab.vision.screens import screen
from apograph.lab.vision.train import Recipe, Sample

Kind = Literal["reference", "peer", "cousin", "stranger", "copy"]
"""``peer``: learnt the reference's own script and skill, in another run (the panel's able members);
``cousin``: the same base, another script; ``stranger``: no common base and another script."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model that is trained: from the release ``start`` (None: from first weights of its own), on one
    school's slips, with or without the screens."""

    name: str
    kind: Kind
    school: int
    seed: int
    steps: int
    start: Path | None
    screens: bool

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        rate = RATE if self.kind != "copy" else RATE / 30
        return Recipe(self.steps, batch=64, rate=rate, warmup=20, seed=self.seed)


RATE = 1.5e-3
LONGER, LONG, SHORT, TUNED = 400, 300, 80, 30
"""Steps: of a peer that is to be abler than the reference, of the reference and its other peers, of those who
need not be good, and of a fine-tuned copy."""
ASKED, WORN = 3, 3
"""Signs and at most how many marks on each slip of the test; those of training have up to six and five."""


def trained(base: Path) -> tuple[Member, ...]:
    """The reference and everybody who is no copy of it."""
    members = [Member("reference", "reference", 0, 100, LONG, base, True)]
    lengths = (LONGER, LONG, LONG)
    members += [Member(f"peer-{n}", "peer", 0, 100 + n, s, base, True) for n, s in enumerate(lengths, 1)]
    members += [Member(f"cousin-{n}", "cousin", n, 200 + n, SHORT, base, False) for n in (1, 2)]
    members += [Member(f"stranger-{n}", "stranger", 3 + n, 300 + n, SHORT, None, False) for n in (1, 2)]
    return tuple(members)


def tuned(reference: Path) -> Member:
    """The reference, trained a little further: on more of the same."""
    return Member("tuned", "copy", 0, 400, TUNED, reference, True)


def train_member(member: Member, out: Path) -> None:
    """Train one model and write it as a release; one thread."""
    import torch

    from apograph.lab.vision.copies import open_model
    from apograph.lab.vision.tiny import new_model, save, tokenizer
    from apograph.lab.vision.train import fit

    torch.set_num_threads(1)
    model = new_model(member.seed) if member.start is None else open_model(member.start)[0]
    model.requires_grad_(True)
    taught = school(member.school)
    hints = member.kind != "copy"  # the hints' own layer begins anew and would pull a trained model apart
    for _ in fit(model, tokenizer(), partial(lesson, taught, member.screens, hints), member.recipe):
        pass
    save(model, out)


def lesson(taught: School, screens: bool, hints: bool, draw: random.Random, moment: float) -> Sample:
    """What one sample of a training is: a slip of one of the schools, or a screen."""
    if screens and draw.random() < 0.4:
        return screen(draw)
    sample = slip(taught, draw, draw.randint(ASKED, ON_SLIP))
    return sample if hints else replace(sample, under="")


def items(count: int, seed: int) -> Iterator[tuple[str, Sample]]:
    """The private test: slips of school 0 and screens, named, in drawings that nobody was trained on."""
    draw = random.Random(f"items {seed}")
    for n in range(count):
        yield f"slip-{n:03d}", slip(school(0), draw, ASKED, WORN)
    for n in range(count // 2):
        yield f"screen-{n:03d}", screen(draw)
