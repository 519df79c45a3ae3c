"""Lines of text as small pictures: a few typefaces and sizes, moved, turned, blurred and with noise."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

LINE = (168, 28)
"""Width and height of a line's picture in pixels."""
FACES = ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono-Oblique.ttf")
"""A typewriter's faces, which come with matplotlib: all letters are equally wide."""
SIZES = range(15, 22)
PITCH = 14
"""Pixels from letter to letter, as on a typewriter: the breadth of one patch."""


@cache
def font(face: str, size: int) -> FreeTypeFont:
    """One of ``FACES`` in a size in pixels."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def draw_line(text: str, draw: random.Random) -> Image:
    """A grey picture of ``LINE``'s size with ``text``, typewritten."""
    from PIL import Image, ImageDraw

    chosen = font(draw.choice(FACES), draw.choice(SIZES))
    ink, paper = draw.randint(0, 80), draw.randint(190, 255)
    if draw.random() < 0.1:
        ink, paper = paper, ink
    image = Image.new("L", LINE, paper)
    pen = ImageDraw.Draw(image)
    x, y = PITCH / 2 + draw.uniform(-2, 2), LINE[1] * 0.7 + draw.uniform(-2, 2)
    for place, letter in enumerate(text):
        pen.text((x + PITCH * place, y), letter, fill=ink, font=chosen, anchor="ms")
    return spoiled(image, draw, degrees=1.0, paper=paper)


def spoiled(image: Image, draw: random.Random, degrees: float, paper: int) -> Image:
    """The picture turned by up to ``degrees``, sometimes blurred, with noise."""
    from PIL import Image as Images
    from PIL import ImageFilter

    turned = image.rotate(draw.uniform(-degrees, degrees), Images.Resampling.BILINEAR, fillcolor=paper)
    if draw.random() < 0.3:
        turned = turned.filter(ImageFilter.GaussianBlur(draw.uniform(0.2, 0.7)))
    noise = np.random.default_rng(draw.getrandbits(64)).standard_normal((image.height, image.width), "f4")
    grey = np.asarray(turned, dtype=np.float32) + noise * np.float32(draw.uniform(0, 12))
    return Images.fromarray(grey.clip(0, 255).astype(np.uint8))
