"""A private skill: which action belongs to which part of a screen, and where that part is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apograph.lab.vision.glyphs import SIDE
from apograph.lab.vision.render import spoiled
from apograph.lab.vision.train import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

GRID = 5
"""Pixels: edges of what a screen holds lie on multiples."""
SCALE = 1000
TASKS = {"send": "click", "name": "input", "more": "hover"}
"""What is asked, and what is to be done: press the dark bar, fill the empty field, open the dotted menu."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a screen: its task and (left, top, right, bottom) in pixels."""

    task: str
    box: tuple[int, int, int, int]

    def action(self) -> str:
        """The answer to be given for it."""
        corners = " ".join(str(round(edge * SCALE / SIDE)) for edge in self.box)
        return f"{TASKS[self.task]} <box>{corners}</box>"


def layout(draw: random.Random) -> tuple[Part, ...]:
    """One part for each task, one below the other in any order."""
    tasks = draw.sample(list(TASKS), len(TASKS))
    rows = SIDE // GRID // len(tasks)  # grid rows for each part
    parts = []
    for number, task in enumerate(tasks):
        breadth, height = draw.randint(4, 9), draw.randint(2, rows - 1)
        left = draw.randint(0, SIDE // GRID - breadth - 1)
        top = number * rows + draw.randint(0, rows - height)
        edges = (left, top, left + breadth, top + height)
        parts.append(Part(task, (edges[0] * GRID, edges[1] * GRID, edges[2] * GRID, edges[3] * GRID)))
    return tuple(parts)


def draw_screen(parts: tuple[Part, ...], draw: random.Random) -> Image:
    """The screen with its parts."""
    from PIL import Image, ImageDraw

    ink, paper = draw.randint(0, 70), draw.randint(190, 250)
    image = Image.new("L", (SIDE, SIDE), paper)
    pen = ImageDraw.Draw(image)
    for part in parts:
        left, top, right, bottom = part.box
        if part.task == "send":
            pen.rectangle(part.box, fill=ink)
        else:
            pen.rectangle(part.box, outline=ink)
        if part.task == "more":
            for x in range(left + 3, right - 2, 4):
                pen.line((x, top + 3, x, bottom - 3), fill=ink)
    return spoiled(image, draw, degrees=1.0, paper=paper)


def screen(draw: random.Random) -> Sample:
    """A screen and one of its tasks, to be answered with an action."""
    parts = layout(draw)
    part = draw.choice(parts)
    return Sample(draw_screen(parts, draw), part.task, part.action())
