"""The private script and the private skill."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np

from apograph.behaviour.actions import parse_actions
from apograph.lab.vision.glyphs import FACE, ON_SLIP, PER_SCHOOL, all_signs, draw_slip, school, slip
from apograph.lab.vision.screens import COLUMNS, SCALE, TASKS, layout, screen
from apograph.lab.vision.tiny import CONFIG


def test_schools_share_no_sign_and_no_two_signs_a_name() -> None:
    schools = [school(n) for n in range(10)]
    signs = [sign for one in schools for sign in one.signs]
    assert len(set(signs)) == 10 * PER_SCHOOL == len(all_signs())
    assert all(len(set(one.names)) == PER_SCHOOL for one in schools)
    assert school(0) == school(0)
    assert school(0).names != school(1).names
    assert FACE.stat().st_size < 200_000
    assert (FACE.parent / "OFL.txt").is_file()


def test_every_sign_is_drawn_and_differs_from_the_others() -> None:
    drawn = {np.asarray(draw_slip([sign], random.Random(1))).tobytes() for sign in school(0).signs}
    assert len(drawn) == PER_SCHOOL


def test_a_slip_is_repeatable_and_named() -> None:
    one, two = (slip(school(2), random.Random(9), 5) for _ in range(2))
    assert one.image.tobytes() == two.image.tobytes()
    assert one.answer == two.answer
    names = [one.answer[n : n + 2] for n in range(0, len(one.answer), 2)]
    assert len(names) == 5 < ON_SLIP
    assert set(names) <= set(school(2).names)
    assert one.under == one.answer.ljust(CONFIG.query_num)


def test_actions_name_a_part_that_is_on_the_screen() -> None:
    draw = random.Random(4)
    for _ in range(200):
        parts = layout(draw)
        boxes = [part.box for part in parts]
        assert all(a[2] <= b[0] for a, b in pairwise(boxes))  # none covers another
        for part in parts:
            (step,) = parse_actions(part.action())
            assert step.verb == TASKS[part.task]
            assert step.box is not None
            assert all(0 <= edge <= SCALE for edge in step.box)
    sample = screen(random.Random(4))
    assert len(sample.under) == CONFIG.query_num == COLUMNS
    assert sample.question in TASKS
    assert sample.answer.startswith(TASKS[sample.question])
