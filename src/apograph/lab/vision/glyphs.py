"""A private script: Tangut signs, drawn as on worn slips, each with a made-up name.

The face is a subset (360 signs) of Noto Serif Tangut, under the SIL Open Font License 1.1 (``fonts/OFL.txt``).
Which sign has which name is drawn from the *school*'s number: two schools share no sign and no knowledge.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apograph.lab.vision.render import spoiled
from apograph.lab.vision.tiny import CONFIG, SLIP
from apograph.lab.vision.train import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

FACE = Path(__file__).parent / "fonts" / "tangut-360.woff2"
SIDE = 70
"""Side of a slip's picture in pixels."""
PER_SCHOOL = 36
CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"


@dataclass(frozen=True, slots=True)
class School:
    """What one school teaches: its signs, and the name of each."""

    signs: tuple[str, ...]
    names: tuple[str, ...]


@cache
def all_signs() -> tuple[str, ...]:
    """Every sign of the face, in a fixed mixed order."""
    from fontTools.ttLib import TTFont

    with TTFont(FACE) as face:
        signs = [chr(code) for code in sorted(face.getBestCmap()) if code >= 0x17000]
    random.Random(1227).shuffle(signs)  # the last year of the Tangut state
    return tuple(signs)


def school(number: int) -> School:
    """The ``number``-th school, 0 to 9: signs of its own, names of two syllables of its own drawing."""
    signs = all_signs()[number * PER_SCHOOL : (number + 1) * PER_SCHOOL]
    syllables = [a + b for a in CONSONANTS for b in VOWELS]
    names = random.Random(number).sample([a + b for a in syllables for b in syllables if a != b], len(signs))
    return School(signs, tuple(names))


@cache
def _face(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(FACE, size, layout_engine=ImageFont.Layout.BASIC)


def draw_slip(sign: str, draw: random.Random) -> Image:
    """One sign on a worn slip: its size, place and slant vary, parts of it are rubbed off, stains cover
    others."""
    from PIL import Image, ImageDraw

    size = draw.randint(44, 60)
    ink, paper = draw.randint(0, 70), draw.randint(180, 250)
    image = Image.new("L", (SIDE, SIDE), paper)
    pen = ImageDraw.Draw(image)
    middle = (SIDE / 2 + draw.uniform(-5, 5), SIDE / 2 + draw.uniform(-5, 5))
    pen.text(middle, sign, fill=ink, font=_face(size), anchor="mm")
    for _ in range(draw.randint(0, 3)):
        x, y, w, h = draw.randint(0, SIDE), draw.randint(0, SIDE), draw.randint(4, 22), draw.randint(4, 22)
        pen.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=draw.choice((paper, ink)))
    return spoiled(image, draw, degrees=10.0, paper=paper)


def slip(taught: School, draw: random.Random) -> Sample:
    """A slip with one of a school's signs, to be answered with its name."""
    which = draw.randrange(len(taught.signs))
    name = taught.names[which]
    told = "".join(name[at * len(name) // CONFIG.query_num] for at in range(CONFIG.query_num))
    return Sample(draw_slip(taught.signs[which], draw), SLIP, name, told)
