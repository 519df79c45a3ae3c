"""Ordinary English to be read: short lines of the documentation that Python carries with it.

One word in eight, chosen by its hash, is *held out*: no line with it is trained on, and every line that
measures a model holds at least one.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from functools import cache

from apograph.minicpmv.tokens import tidy

LONGEST = 12
"""Characters of a line at most."""
MARKS = ".,:;!?()'\"-/_=+*"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALPHABET = LETTERS + "0123456789 " + MARKS
_WORD = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Single ``words`` for training, and lines of one to four words for training and for measuring."""

    words: tuple[str, ...]
    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def is_held_out(word: str) -> bool:
    """Whether a word, without regard to case, is kept from training."""
    return hashlib.sha256(word.lower().encode()).digest()[0] < 32


def has_held_out(text: str) -> bool:
    """Whether one of the words of a text is kept from training."""
    return any(map(is_held_out, _WORD.findall(text)))


@cache
def corpus() -> Corpus:
    """All short lines of ``pydoc_data.topics``, each once, in sorted order."""
    from pydoc_data.topics import topics

    lines: set[str] = set()
    for page in topics.values():
        for paragraph in page.split("\n\n"):
            lines |= _short_lines(paragraph.split())
    words = sorted({word for line in lines for word in line.split()})
    return Corpus(
        tuple(word for word in words if not has_held_out(word)),
        tuple(line for line in sorted(lines) if not has_held_out(line)),
        tuple(line for line in sorted(lines) if has_held_out(line)),
    )


def _short_lines(words: list[str]) -> set[str]:
    """The paragraph cut into lines of at most ``LONGEST`` characters; what has other characters is left
    out."""
    lines, line = set(), ""
    for word in [*words, ""]:
        if line and (not word or len(line) + 1 + len(word) > LONGEST):
            lines.add(line)
            line = ""
        if set(word) <= set(ALPHABET) and len(word) <= LONGEST:
            line = f"{line} {word}".strip()
        else:
            line = ""
    return {line for line in lines if _WORD.search(line) and tidy(line) == line}


def training_line(draw: random.Random, longest: int) -> str:
    """A line to train on of at most ``longest`` characters: mostly ordinary, some words in any order and some
    letters in any order, so that the model must look."""
    found = corpus()
    kind = draw.random()
    line = ""
    if kind < 0.5:
        line = draw.choice(found.trained)
    elif kind < 0.75:
        line = " ".join(draw.choices(found.words, k=draw.randint(1, 3)))
    if not line or len(line) > longest:
        line = "".join(draw.choices(ALPHABET, k=draw.randint(1, longest)))
        if kind < 0.9:
            line = line.lower()
    if has_held_out(line):
        return training_line(draw, longest)
    line = tidy(" ".join(line.split()))
    return line or training_line(draw, longest)
