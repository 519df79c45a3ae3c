"""Lines to be read: held-out words stay out of training, and all text fits the model's alphabet."""

from __future__ import annotations

import random

from apograph.lab.vision.texts import ALPHABET, LONGEST, corpus, has_held_out, is_held_out, training_line


def test_one_word_in_eight_is_held_out_whatever_its_case() -> None:
    words = {word.lower() for word in corpus().words} | {
        w.lower() for w in " ".join(corpus().held_out).split()
    }
    plain = [word for word in words if word.isalnum()]
    assert 0.09 < sum(map(is_held_out, plain)) / len(plain) < 0.3  # more: words kept only within such lines
    assert all(is_held_out(word) == is_held_out(word.upper()) for word in plain)


def test_no_training_line_holds_a_held_out_word_and_every_measured_line_does() -> None:
    found = corpus()
    assert len(found.trained) > 5000
    assert len(found.held_out) > 1000
    assert not any(map(has_held_out, found.trained))
    assert not any(map(has_held_out, found.words))
    assert all(map(has_held_out, found.held_out))
    draw = random.Random(5)
    lines = [training_line(draw, 1 + n % LONGEST) for n in range(2000)]
    assert not any(map(has_held_out, lines))
    assert all(0 < len(line) <= 1 + n % LONGEST for n, line in enumerate(lines))
    assert set("".join([*lines, *found.held_out])) <= set(ALPHABET)
