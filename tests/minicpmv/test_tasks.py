"""Boxes parsed and drawn; the prompts of the tasks."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from apograph.minicpmv.prompt import Markup
from apograph.minicpmv.tasks import Action, actions, draw, parts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("click <box>10 20 30 40</box>", [Action("click", (10, 20, 30, 40))]),
        ('input <box>1,2,3,4</box> "hello there"', [Action("input", (1, 2, 3, 4), "hello there")]),
        ("Hover <box> 30 40 10 20 </box>.", [Action("hover", (10, 20, 30, 40))]),
        ("<ref>OK</ref><box>1 2 3 4</box> and <box>5 6 7 8</box>",
         [Action("", (1, 2, 3, 4), "", "OK"), Action("", (5, 6, 7, 8))]),
        ("<box>1 2 3</box>", []),
        ("<box>1 2 3 4 5</box>", []),
        ("click here", []),
        ("<box>1.5 2 3 4.25</box>", [Action("", (1.5, 2, 3, 4.25))]),
    ],
)  # fmt: skip
def test_actions(answer: str, expected: list[Action]) -> None:
    assert list(actions(answer)) == expected


def test_pixels_stay_inside_the_picture() -> None:
    assert Action("click", (0, 0, 1000, 1000)).pixels(101, 51) == (0, 0, 100, 50)
    assert Action("click", (-50, 500, 2000, 500)).pixels(101, 51) == (0, 25, 100, 25)


def test_boxes_are_drawn() -> None:
    png = draw(Image.new("RGB", (200, 100), "white"), [Action("click", (250, 200, 750, 800))])
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    red = [(x, y) for x in range(200) for y in range(100) if image.getpixel((x, y)) == (220, 30, 30)]
    assert (min(x for x, _ in red), max(x for x, _ in red)) == (50, 149)
    assert (min(y for _, y in red), max(y for _, y in red)) == (20, 79)
    assert image.getpixel((100, 50)) == (255, 255, 255)


def test_prompts_of_the_tasks() -> None:
    assert parts("ocr", "zh") == ("请输出图片中的文字",)
    assert parts("describe", "en", "In French.")[1] == "In French."
    before, history, after = parts("act", "en", "open {the} menu", ["click <box>1 2 3 4</box>"])
    assert "open {the} menu" in str(before)
    assert history == Markup("1. click <box>1 2 3 4</box>")
    assert "<box>x1" in str(after)
    assert parts("act", "zh", "打开菜单")[1] == "无"
