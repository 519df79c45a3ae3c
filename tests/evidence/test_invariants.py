"""Calibrated measures: by hand, behind a disguise, and their rank against a panel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from apograph.evidence.invariant_measures import unbiased_cka
from apograph.evidence.invariants import invariants, rank_sums, ranked
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Unexamined
from apograph.lab.founding.weights import Array, noised, safetensors
from apograph.release import open_release
from apograph.release.types import Release
from apograph.report.words import text
from tests.evidence.test_coin_look import reordered, rotated
from tests.evidence.train_llama import CONFIG, initial


def release(folder: Path, weights: dict[str, Array]) -> Release:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    return open_release(str(folder))


def found(case: Case) -> list[Finding | Unexamined]:
    told: Iterator[Finding | Unexamined] = invariants(case)
    return list(told)


def test_unbiased_cka_by_hand() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((30, 8))
    turn = np.linalg.qr(random.standard_normal((8, 8)))[0]
    assert unbiased_cka(x, 3 * x @ turn) == pytest.approx(1)
    means = [
        unbiased_cka(random.standard_normal((30, 8)), random.standard_normal((30, 8))) for _ in range(200)
    ]
    assert abs(np.mean(means)) < 4 * np.std(means) / 200**0.5, "no bias, where the plain estimate has 8/30"


def test_ranks() -> None:
    assert ranked(3.0, [1.0, 2.0]).p == pytest.approx(1 / 3)
    assert ranked(1.0, [1.0, 2.0]).p == 1.0
    rows = [{"cka": 3.0, "trace": 1.0}, {"cka": 1.0, "trace": 2.0}, {"cka": 2.0, "trace": 0.0}]
    assert rank_sums(rows) == [5.0, 4.0, 3.0]


def test_a_disguised_copy_leads_a_panel(tmp_path: Path) -> None:
    a = initial(1)
    copy = release(tmp_path / "b", noised(rotated(reordered(a, 3), 4), 0.01, 5))
    panel = tuple(release(tmp_path / f"p{n}", initial(100 + n)) for n in range(19))
    reference = release(tmp_path / "a", a)
    [told] = found(Case(reference, copy, panel=panel))
    assert isinstance(told, Finding)
    assert told.strength.kind == "calibrated"
    assert told.strength.log10_p == pytest.approx(np.log10(1 / 20))
    assert told.bearing is Bearing.SUPPORTING
    values = {m.name: m.value for m in told.measures}
    assert values["invariant_cka"] > 0.9
    assert values["invariant_match"] > 0.9
    [stranger] = found(Case(reference, panel[0], panel=panel[1:4]))
    assert isinstance(stranger, Finding)
    assert stranger.strength.log10_p is not None
    assert stranger.bearing is Bearing.CONTEXT


def test_without_a_panel_there_is_no_level(tmp_path: Path) -> None:
    sides = [release(tmp_path / str(n), initial(n)) for n in range(2)]
    [told] = found(Case(*sides))
    assert isinstance(told, Finding)
    assert told.strength.kind == "descriptive"
    assert told.strength.log10_p is None
    assert "no level" in text(told.message)


def test_another_kind_of_model_is_no_panel(tmp_path: Path) -> None:
    sides = [release(tmp_path / str(n), initial(n)) for n in range(2)]
    other = release(tmp_path / "x", {"x.weight": initial(0)["lm_head.weight"]})
    told = found(Case(*sides, panel=(other,)))
    assert isinstance(told[0], Unexamined)
    assert isinstance(told[1], Finding)
    assert told[1].strength.kind == "descriptive"
