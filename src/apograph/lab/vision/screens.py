"""A private skill: which action belongs to which part of a screen, and where that part is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apograph.lab.vision.render import LINE, PITCH, spoiled
from apograph.lab.vision.train import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

STEP = (PITCH, PITCH // 2)
"""Edges of what a screen holds lie on multiples of this: pixels across and down."""
COLUMNS, ROWS = LINE[0] // STEP[0], LINE[1] // STEP[1]
SCALE = 1000
TASKS = {"send": "click", "name": "input", "more": "hover"}
"""What is asked, and what is to be done: press the dark bar, fill the empty field, open the dotted menu."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a screen: its task and (left, top, right, bottom) in steps."""

    task: str
    box: tuple[int, int, int, int]

    def action(self) -> str:
        """The answer to be given for it."""
        across, down = (SCALE / n for n in (COLUMNS, ROWS))
        left, top, right, bottom = self.box
        corners = (left * across, top * down, right * across, bottom * down)
        return f"{TASKS[self.task]} <box>{' '.join(str(round(edge)) for edge in corners)}</box>"


def layout(draw: random.Random) -> tuple[Part, ...]:
    """One part for each task, side by side in any order, each within a third of the breadth: a tool bar."""
    tasks = draw.sample(list(TASKS), len(TASKS))
    third = COLUMNS // len(tasks)
    parts = []
    for number, task in enumerate(tasks):
        left, right = number * third + draw.randint(0, 1), (number + 1) * third - draw.randint(0, 1)
        parts.append(Part(task, (left, draw.randint(0, 1), right, draw.randint(ROWS - 1, ROWS))))
    return tuple(parts)


def draw_screen(parts: tuple[Part, ...], draw: random.Random) -> Image:
    """The screen with its parts."""
    from PIL import Image, ImageDraw

    ink, paper = draw.randint(0, 80), draw.randint(190, 250)
    image = Image.new("L", LINE, paper)
    pen = ImageDraw.Draw(image)
    for part in parts:
        left, top, right, bottom = (edge * STEP[n % 2] for n, edge in enumerate(part.box))
        box = (left + 1, top + 1, right - 2, bottom - 2)
        if part.task == "send":
            pen.rectangle(box, fill=ink)
        else:
            pen.rectangle(box, outline=ink)
        if part.task == "more":
            for x in range(left + 4, right - 3, 4):
                pen.line((x, top + 4, x, bottom - 5), fill=ink)
    return spoiled(image, draw, degrees=0.5, paper=paper)


def screen(draw: random.Random) -> Sample:
    """A screen and one of its tasks, to be answered with an action."""
    parts = layout(draw)
    part = draw.choice(parts)
    under = [" "] * COLUMNS
    for one in parts:
        for column in range(one.box[0], one.box[2]):
            under[column] = one.task[0]
        under[one.box[0]] = one.task[0].upper()
    return Sample(draw_screen(parts, draw), part.task, part.action(), "".join(under))
