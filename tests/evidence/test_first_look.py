"""The first look at a large pair: copies in another order or basis show, strangers do not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from apograph.align.gauge.named import named_roles
from apograph.align.roles import View
from apograph.align.tensors import match_tensors
from apograph.evidence import coins, first_look
from apograph.evidence.coin_look import look
from apograph.evidence.first_look import elsewhere, stands_out, turned
from apograph.evidence.stream import stream
from apograph.lab.founding.weights import Array, noised
from tests.evidence.arrays_store import ArraysStore
from tests.evidence.test_coin_look import reordered, rotated
from tests.evidence.train_llama import CONFIG, initial


def drawn(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_units_elsewhere_stand_out_whatever_their_sign() -> None:
    b = drawn(0, 500, 64)
    places = np.random.default_rng(1).permutation(500)[:64]
    assert stands_out(-b[places] + 0.5 * drawn(2, 64, 64), b)
    assert not stands_out(drawn(3, 64, 64), b)


def test_strangers_stand_out_rarely() -> None:
    assert sum(stands_out(drawn(2 * n, 64, 64), drawn(2 * n + 1, 500, 64)) for n in range(100)) <= 2


def test_channels_of_unequal_size_are_no_copy() -> None:
    """Independent models share the channels that are large: the units' cosines are all large then."""
    size = np.exp(drawn(9, 64))
    assert not stands_out(drawn(1, 64, 64) * size, drawn(2, 500, 64) * size)


def test_tables_that_are_rotations_of_each_other() -> None:
    a, turn = drawn(0, 300, 32), np.linalg.qr(drawn(1, 32, 32))[0]
    views = View("t"), View("t")
    assert turned((ArraysStore({"t": a}), ArraysStore({"t": a @ turn})), views)
    assert not turned((ArraysStore({"t": a}), ArraysStore({"t": drawn(2, 300, 32)})), views)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_look, "SMALL", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("change", [reordered, rotated])
def test_large_copies_in_another_gauge_are_seen(change: object) -> None:
    assert callable(change)
    a = initial(1)
    for other, expected in ((noised(change(a, 3), 0.01, 5), True), (initial(2), False)):
        stores = ArraysStore(a), ArraysStore(other)
        roles = named_roles(stores[0], CONFIG), named_roles(stores[1], CONFIG)
        assert elsewhere(roles, stores) is expected


@pytest.mark.usefixtures("large")
def test_what_was_not_searched_is_counted() -> None:
    def thrown(a: dict[str, Array], b: dict[str, Array]) -> tuple[int, int, int]:
        stores = ArraysStore(a), ArraysStore(b)
        planned = coins.plan(match_tensors(*stores).matches, stores, (CONFIG, CONFIG))
        stream(planned.fold.matches, *stores, [planned.fold])
        found = look(planned)
        return sum(c.pairing == "content" for c in found), planned.excluded["sampled"], len(found)

    content, left, modules = thrown(initial(1), initial(2))
    assert (content, left) == (0, modules)
    content, left, modules = thrown(initial(1), noised(reordered(initial(1), 3), 0.01, 5))
    assert content > 0
    assert left < modules
