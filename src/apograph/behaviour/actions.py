"""Actions of GUI agents: ``click <box>732 292 792 328</box>``, one or several, step by step."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

VERBS = (
    "click", "double_click", "right_click", "long_press", "hover", "input", "type", "press", "scroll",
    "swipe", "drag", "select", "tap", "back", "home", "wait", "finish",
)  # fmt: skip
_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_BOX = re.compile(
    rf"(?:<box>|\[|\()\s*({_NUMBER})[\s,]+({_NUMBER})[\s,]+({_NUMBER})[\s,]+({_NUMBER})\s*(?:</box>|\]|\))"
)
_VERB = re.compile(
    r"(?<![\w<])(" + "|".join(sorted(VERBS, key=len, reverse=True)) + r")(?![\w>])", re.IGNORECASE
)
NEAR = 0.5
"""Intersection over union from which two boxes count as the same place."""

Box = tuple[float, float, float, float]


class Action(NamedTuple):
    """One step: what is done, where (left, top, right, bottom, in the model's units), with what text."""

    verb: str
    box: Box | None
    text: str


@lru_cache(maxsize=65536)
def parse_actions(answer: str) -> tuple[Action, ...]:
    """The steps that ``answer`` spells out, in order; () when it is not made of actions.

    A step begins with a verb at the start of a line or after ``;``; its box and its text (what follows, free
    of quotes and brackets) belong to it. Text before the first verb must be empty or a numbering.
    """
    steps: list[Action] = []
    for line in re.split(r"[\n;]+", answer[:20_000]):
        stripped = re.sub(
            r"^\s*(?:(?:step\s*)?\d+\s*[.):]|[-*]|(?:action|thought)\s*:)\s*", "", line, flags=re.I
        )
        if not stripped.strip():
            continue
        stripped = stripped.strip()
        verb = _VERB.match(stripped)
        if verb is None:
            return ()
        rest = stripped[verb.end() :]
        box = _BOX.search(rest)
        text = rest if box is None else rest[: box.start()] + rest[box.end() :]
        text = re.sub(r"\b(?:text|content|value)\s*=", " ", text)
        corners = None if box is None else _corners(box)
        steps.append(Action(verb[1].lower(), corners, " ".join(text.split()).strip(" \"'“”()[]{}:=,.")))
    return tuple(steps)


def _corners(found: re.Match[str]) -> Box:
    x1, y1, x2, y2 = (float(found[n]) for n in (1, 2, 3, 4))
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def written(steps: tuple[Action, ...]) -> str:
    """Steps in one spelling: equal actions have equal text."""
    return "\n".join(
        " ".join(
            part
            for part in (
                step.verb,
                "<box>" + " ".join(f"{edge:g}" for edge in step.box) + "</box>" if step.box else "",
                step.text,
            )
            if part
        )
        for step in steps
    )


def iou(a: Box, b: Box) -> float:
    """Area of the intersection over area of the union; 1.0 for two equal boxes of no area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else float(a == b)


def overlap(a: tuple[Action, ...], b: tuple[Action, ...]) -> float | None:
    """Smallest IoU over the steps of two answers, None when verbs, texts or the number of steps differ."""
    if len(a) != len(b) or not a:
        return None
    smallest = 1.0
    for first, second in zip(a, b, strict=True):
        if (first.verb, first.text) != (second.verb, second.text):
            return None
        if (first.box is None) != (second.box is None):
            return None
        if first.box is not None and second.box is not None:
            smallest = min(smallest, iou(first.box, second.box))
    return smallest


def same_action(a: str, b: str) -> bool:
    """Whether two written answers are the same steps with every box at least ``NEAR``."""
    found = overlap(parse_actions(a), parse_actions(b))
    return found is not None and found >= NEAR
