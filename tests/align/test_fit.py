"""Checkpoint against code: what is named, missing, left over, of another shape."""

from typing import Any

from apograph.align.fit import fit, numbered
from apograph.release.types import TensorInfo, Tensors


def model(
    tensors: dict[str, Any], opens: tuple[str, ...] = (), lists: dict[str, int] | None = None
) -> dict[str, Any]:
    rows = [[n, s, n.startswith("maybe")] for n, s in tensors.items()]
    return {"tensors": rows, "opens": [[p, "?"] for p in opens], "lists": lists or {}}


def stored(names: dict[str, tuple[int, ...] | None]) -> Tensors:
    return Tensors(tuple(TensorInfo(n, s, "F32", "m") for n, s in names.items()), "headers")


CODE = {"a.w": [2, 3], "l.0.w": [4], "l.1.w": [4], "maybe.w": [1]}


def test_equal_sets_fit_and_parameters_are_counted() -> None:
    found = fit(model(CODE), stored({"a.w": (2, 3), "l.0.w": (4,), "l.1.w": None}))
    assert (found.fits, found.named, found.covered) == (True, 3, 0)
    assert found.parameters == 6 + 4 + 4 + 1


def test_missing_left_over_and_other_shapes() -> None:
    found = fit(
        model(CODE, lists={"l.": 2}), stored({"a.w": (3, 2), "l.0.w": None, "l.2.w": None, "b": None})
    )
    assert not found.fits
    assert found.absent == ("l.1.w",)
    assert found.extra == ("l.2.w", "b")
    assert found.shapes == (("a.w", (2, 3), (3, 2)),)


def test_numbers_of_layers_that_differ() -> None:
    names = {f"t.l.{n}.w": None for n in range(3)}
    found = fit(model({"t.l.0.w": None, "t.l.1.w": None}, lists={"t.l.": 2}), stored(names))
    assert found.lists == (("t.l.", 2, 3),)
    assert found.extra == ("t.l.2.w",)
    assert numbered({"x.12.y.3.w": 0, "x.12.y.4.w": 0, "x.7.z": 0}) == {"x.": 2, "x.12.y.": 2}


def test_open_parts_cover_and_buffers_decide_nothing() -> None:
    found = fit(model({}, opens=("p.", "q.")), stored({"p.x": None, "q": None, "z.rotary.inv_freq": None}))
    assert (found.fits, found.covered, found.parameters) == (True, 2, None)
    assert not fit(model({}, opens=("p.",)), stored({"px": None})).fits
    assert fit(model({}, opens=("",)), stored({"anything": None})).fits


def test_a_base_prefix_more_or_less_is_no_difference() -> None:
    assert fit(model(CODE), stored({f"model.{n}": None for n in CODE})).fits
    assert fit(model({f"model.{n}": s for n, s in CODE.items()}), stored(dict.fromkeys(CODE))).fits
    assert not fit(model(CODE), stored({f"other.{n}": None for n in CODE})).fits


def test_names_are_renamed_first() -> None:
    names = {f"b{n[1:]}" if n.startswith("a") else n: None for n in CODE}
    assert fit(model(CODE), stored(names), lambda n: n.replace("b.", "a.")).fits
