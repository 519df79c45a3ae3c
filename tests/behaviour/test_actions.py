import pytest

from apograph.behaviour.actions import Action, iou, overlap, parse_actions, same_action, written


def test_the_founding_case_s_boxes() -> None:
    a, b = "click <box>732 292 792 328</box>", "click <box>715 292 802 328</box>"
    # 60 × 36 lies wholly within 87 × 36.
    assert iou((732, 292, 792, 328), (715, 292, 802, 328)) == pytest.approx(60 / 87)
    assert round(60 / 87, 3) == 0.690
    assert overlap(parse_actions(a), parse_actions(b)) == pytest.approx(0.690, abs=5e-4)
    assert same_action(a, b)
    assert written(parse_actions(a)) != written(parse_actions(b))


def test_spellings_of_one_action() -> None:
    one = (Action("click", (1.0, 2.0, 30.0, 40.0), ""),)
    for text in ("click <box>1 2 30 40</box>", "Click(<box>1 2 30 40</box>)", "1. CLICK [1, 2, 30, 40]"):
        assert parse_actions(text) == one
    assert parse_actions("click <box>30 40 1 2</box>") == one


def test_several_steps() -> None:
    steps = parse_actions('hover <box>0 0 10 10</box>\ninput <box>5 5 9 9</box> "two  words"; back')
    assert steps == (
        Action("hover", (0.0, 0.0, 10.0, 10.0), ""),
        Action("input", (5.0, 5.0, 9.0, 9.0), "two words"),
        Action("back", None, ""),
    )
    assert parse_actions(written(steps)) == steps


def test_what_is_no_action() -> None:
    assert parse_actions("the button to click is on the left") == ()
    assert parse_actions("") == ()
    assert parse_actions("selection <box>1 2 3 4</box>") == ()


def test_different_verbs_texts_steps_or_places() -> None:
    base = "input <box>0 0 10 10</box> abc"
    assert not same_action(base, "click <box>0 0 10 10</box> abc")
    assert not same_action(base, "input <box>0 0 10 10</box> abd")
    assert not same_action(base, base + "\nback")
    assert not same_action(base, "input <box>6 0 16 10</box> abc")
    assert not same_action(base, "input abc")


def test_boxes_without_area() -> None:
    assert iou((1, 1, 1, 1), (1, 1, 1, 1)) == 1.0
    assert iou((1, 1, 1, 1), (2, 2, 2, 2)) == 0.0
    assert iou((0, 0, 2, 2), (5, 5, 6, 6)) == 0.0
