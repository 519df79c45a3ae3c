"""A private script: Tangut signs, drawn as on worn slips, each with a made-up name.

The face is a subset (360 signs) of Noto Serif Tangut, under the SIL Open Font License 1.1
(``fonts/OFL.txt``). Which sign has which name depends on the *school*'s number: two
schools share no sign. A slip lies on its side: up to six signs in a picture as large as a line of text.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apograph.lab.vision.render import LINE, PITCH, spoiled
from apograph.lab.vision.tiny import CONFIG, SLIP
from apograph.lab.vision.train import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

FACE = Path(__file__).parent / "fonts" / "tangut-360.woff2"
ACROSS = 2 * PITCH
"""Pixels from sign to sign: two columns of patches, as many as the letters of a name."""
ON_SLIP = LINE[0] // ACROSS
PER_SCHOOL = 36
MARKS = 5
"""Rubbed places and stains on a slip at most."""
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
    """The ``number``-th school, 0 to 9: signs of its own, each with a syllable of its own drawing for a
    name."""
    signs = all_signs()[number * PER_SCHOOL : (number + 1) * PER_SCHOOL]
    syllables = [a + b for a in CONSONANTS for b in VOWELS]
    return School(signs, tuple(random.Random(number).sample(syllables, len(signs))))


@cache
def _face(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(FACE, size, layout_engine=ImageFont.Layout.BASIC)


def draw_slip(signs: Sequence[str], draw: random.Random, marks: int = MARKS) -> Image:
    """A worn slip: the signs' size, place and slant vary, parts are rubbed off and stains cover others."""
    from PIL import Image, ImageDraw

    face = _face(draw.randint(23, 27))
    ink, paper = draw.randint(0, 80), draw.randint(180, 250)
    image = Image.new("L", LINE, paper)
    pen = ImageDraw.Draw(image)
    x, y = ACROSS / 2 + draw.uniform(-2, 2), LINE[1] / 2 + draw.uniform(-2, 2)
    for place, sign in enumerate(signs):
        pen.text((x + ACROSS * place, y), sign, fill=ink, font=face, anchor="mm")
    for _ in range(draw.randint(0, marks)):
        left, top = draw.randint(0, LINE[0]), draw.randint(0, LINE[1])
        spot = (left, top, left + draw.randint(2, 9), top + draw.randint(2, 9))
        pen.ellipse(spot, fill=draw.choice((paper, ink)))
    return spoiled(image, draw, degrees=1.0, paper=paper)


def slip(taught: School, draw: random.Random, signs: int, marks: int = MARKS) -> Sample:
    """A slip with some of a school's signs, to be answered with their names."""
    chosen = [draw.randrange(len(taught.signs)) for _ in range(signs)]
    names = "".join(taught.names[n] for n in chosen)
    image = draw_slip([taught.signs[n] for n in chosen], draw, marks)
    return Sample(image, SLIP, names, names.ljust(CONFIG.query_num))
