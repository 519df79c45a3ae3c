"""What owners use the model for: reading text, acting on a screen, describing; and the boxes in its answers.

Boxes are written ``<box>x1 y1 x2 y2</box>`` on a scale of 0 to 1000 both ways, after the maintainers'
description for a later version of this family; for this version the scale is not documented anywhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from apograph.minicpmv.prompt import Markup, Part

Task = Literal["ocr", "act", "describe"]
PROMPTS: dict[Task, dict[str, str]] = {
    "ocr": {
        "en": "Read all the text in the picture. Write tables as Markdown tables.",
        "zh": "请输出图片中的文字",
    },
    "describe": {"en": "Describe the picture in detail.", "zh": "请详细描述这张图片。"},
    "act": {
        "en": "You operate the screen in the picture. Task: {task}\n"
        "Actions so far:\n{history}\n"
        "Answer with the next action only: click <box>x1 y1 x2 y2</box>, hover <box>x1 y1 x2 y2</box>, or "
        'input <box>x1 y1 x2 y2</box> "text". Coordinates go from 0 to 1000.',
        "zh": "你在操作图片中的屏幕。任务：{task}\n已执行的操作：\n{history}\n"
        "只回答下一步操作：click <box>x1 y1 x2 y2</box>、hover <box>x1 y1 x2 y2</box> 或 "
        'input <box>x1 y1 x2 y2</box> "文字"。坐标范围为 0 到 1000。',
    },
}
NOTHING = {"en": "none", "zh": "无"}
SCALE = 1000
_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_ACTION = re.compile(
    r"(?:(?P<kind>click|hover|input)\s*)?"
    r"(?:<ref>(?P<ref>[^<]{0,200})</ref>\s*)?"
    rf"<box>\s*(?P<box>{_NUMBER}(?:[\s,]+{_NUMBER}){{3}})\s*</box>"
    r'(?:\s*"(?P<text>[^"\n]{0,2000})")?',
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Action:
    """A box of an answer and what is to be done with it. ``box`` is (left, top, right, bottom), 0 to 1000;
    ``kind`` is click, hover or input, or "" for a box alone; ``label`` is what the answer says it holds."""

    kind: str
    box: tuple[float, float, float, float]
    text: str = ""
    label: str = ""

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The box in a picture of this size, kept inside it."""
        left, top, right, bottom = (min(max(v, 0), SCALE) / SCALE for v in self.box)
        x, y = max(width - 1, 0), max(height - 1, 0)
        return round(left * x), round(top * y), round(right * x), round(bottom * y)


def actions(answer: str) -> tuple[Action, ...]:
    """All boxes of an answer, in order. A box whose corners are swapped is turned the right way round."""
    found = []
    for match in _ACTION.finditer(answer):
        x1, y1, x2, y2 = (float(number) for number in re.findall(_NUMBER, match["box"]))
        box = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        kind = (match["kind"] or "").lower()
        found.append(Action(kind, box, match["text"] or "", (match["ref"] or "").strip()))
    return tuple(found)


def draw(image: Image.Image, found: Sequence[Action]) -> bytes:
    """A PNG of the picture with the boxes drawn on it and numbered."""
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    width = max(2, round(min(canvas.size) / 200))
    for number, action in enumerate(found, 1):
        left, top, right, bottom = action.pixels(*canvas.size)
        pen.rectangle((left, top, right, bottom), outline=(220, 30, 30), width=width)
        pen.text((left + width + 1, top + width), f"{number} {action.kind}".rstrip(), fill=(220, 30, 30))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def parts(task: Task, lang: str, text: str = "", history: Sequence[str] = ()) -> tuple[Part, ...]:
    """The prompt of a task. ``text`` is what the user wants done (act), or is added to the task's own words;
    ``history`` are the actions so far, in which boxes are tokens as the model wrote them."""
    words = PROMPTS[task].get(lang, PROMPTS[task]["en"])
    if task != "act":
        return (words, text) if text else (words,)
    before, _, rest = words.partition("{task}")
    middle, _, after = rest.partition("{history}")
    shown = "\n".join(f"{n}. {action}" for n, action in enumerate(history, 1))
    lines = Markup(shown) if history else NOTHING.get(lang, NOTHING["en"])
    return before + text + middle.rstrip("\n"), lines, after.lstrip("\n")
