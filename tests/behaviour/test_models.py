"""Indices of answer copying, item response, panel, noise, samples: by hand where small, else by
simulation."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apograph.behaviour.indices import copying_indices
from apograph.behaviour.irt import NODES, difficulties, modelled_agreement
from apograph.behaviour.join import join
from apograph.behaviour.mmd import mmd
from apograph.behaviour.noise import halves, low_margin_flips, noise_test, star
from apograph.behaviour.panel import choose_panel, usable
from apograph.behaviour.simulate import copied, simulate
from apograph.behaviour.view import reference_view
from tests.behaviour.write import answers, jsonl


def test_k_by_hand(tmp_path: Path) -> None:
    """Reference wrong on 4 of 8; one peer with the candidate's two errors, matching once."""
    given = ("BBBBAAAA", "BBAAAAAA", "BCAAAAAA", "CAAAAAAA")
    sheet = join([answers(tmp_path / f"m{n}.jsonl", one, "A" * 8) for n, one in enumerate(given)])
    found = copying_indices(sheet, 0, 1, [2, 3])
    # P(Bin(4, 1/4) ≥ 2)
    assert found == {"K": pytest.approx(math.log10(1 - 0.75**4 - 4 * 0.25 * 0.75**3))}


def test_k1_by_hand(tmp_path: Path) -> None:
    """Reference wrong on 5 of 10; panel models with 2, 4, 6 errors match on 1, 2, 3: two at four errors."""
    given = ("BBBBBAAAAA", "BBBCAAAAAA", "BAAAACAAAA", "BBAAACCAAA", "BBBAACCCAA")
    sheet = join([answers(tmp_path / f"m{n}.jsonl", one, "A" * 10) for n, one in enumerate(given)])
    found = copying_indices(sheet, 0, 1, [2, 3, 4])
    assert found["K1"] == pytest.approx(math.log10(10 * 0.4**3 * 0.6**2 + 5 * 0.4**4 * 0.6 + 0.4**5))
    # The log-linear mean at four errors lies between the neighbours' geometric mean √3 and their mean 2;
    # P(3 ≤ X ≤ 5) for Poisson means of 1.73 and 2 is 0.243 and 0.307.
    assert 0.242 < 10 ** found["S1"] < 0.307


def test_rasch_recovers_difficulty() -> None:
    rng = np.random.default_rng(0)
    difficulty, ability = rng.normal(0, 1, 60), rng.normal(0, 1, 400)
    right = rng.random((400, 60)) < 1 / (1 + np.exp(difficulty - ability[:, None]))
    fitted = difficulties(right, np.ones_like(right)) @ NODES
    assert np.corrcoef(fitted, difficulty)[0, 1] > 0.98
    assert np.polyfit(difficulty, fitted, 1)[0] == pytest.approx(1.0, abs=0.1)


def test_item_response_statistics_know_a_copy() -> None:
    rng = np.random.default_rng(3)
    plain = []
    for _ in range(40):
        sheet = simulate(rng, 250, rng.normal(0.5, 0.5, 14))
        found = modelled_agreement(sheet, 0, 1, range(2, 14))
        assert found is not None
        plain.append((found.log10_omega, found.log10_gbt, found.log10_m4))
    assert max(sum(p[n] <= -2 for p in plain) for n in range(3)) <= 3
    copy = modelled_agreement(copied(rng, sheet, 0, 1, 0.7), 0, 1, range(2, 14))
    assert copy is not None
    assert max(copy.log10_omega, copy.log10_gbt, copy.log10_m4) < -6
    found = copying_indices(copied(rng, sheet, 0, 1, 0.7), 0, 1, range(2, 14))
    assert max(value for name, value in found.items() if name != "K") < -3
    assert modelled_agreement(sheet, 0, 1, [2, 3]) is None


def test_the_panel_s_rules() -> None:
    rng = np.random.default_rng(4)
    sheet = simulate(rng, 500, [1.0, 1.0, 0.0, 0.0, 3.0, 1.0])
    twins = list(sheet.columns)
    twins[3] = replace(twins[2], name="another name")
    twins[5] = replace(twins[0], name="the reference again")
    found = choose_panel(replace(sheet, columns=tuple(twins)), [2, 3, 4, 5], 0, 1)
    assert found.kept == (2, 4)
    assert found.dropped == ((3, 2), (5, 0))
    assert found.strong == (4,)


def test_a_model_without_errors_is_no_use() -> None:
    sheet = simulate(np.random.default_rng(1), 50, [0.0, 0.0, 30.0, 0.0])
    assert usable(reference_view(sheet, 0), [2, 3]) == (3,)


def noised(rng: np.random.Generator, seeds: int, flips: float) -> tuple[object, list[int]]:
    """A reference, an unrelated model (1) and noised copies that each keep ``1 - flips`` of the answers."""
    sheet = simulate(rng, 600, [0.0] * (seeds + 3), options=6)
    for j in range(2, seeds + 3):
        sheet = copied(rng, sheet, 0, j, 1 - flips)
        columns = list(sheet.columns)
        columns[j] = replace(columns[j], sigma=flips)
        sheet = replace(sheet, columns=tuple(columns))
    return sheet, list(range(3, seeds + 3))


def test_the_noise_control() -> None:
    sheet, copies = noised(np.random.default_rng(6), 99, 0.2)
    again = noise_test(sheet, 0, 2, copies)  # type: ignore[arg-type]
    assert again.enough
    assert again.sigma == 0.2
    assert again.p > 0.01
    other = noise_test(sheet, 0, 1, copies)  # type: ignore[arg-type]
    assert other.p == pytest.approx(0.01)
    rays = star(sheet, 0, 2, copies)  # type: ignore[arg-type]
    assert rays.between is not None
    assert rays.candidate == pytest.approx(rays.noised, abs=0.05)
    assert rays.across == pytest.approx(rays.between, abs=0.05)
    assert rays.between > rays.noised + 0.05
    assert 0.4 < halves(sheet).mean() < 0.6  # type: ignore[arg-type]


def test_low_margins_by_hand(tmp_path: Path) -> None:
    rows = [{"item": str(n), "raw": "A", "margin": float(n)} for n in range(10)]
    other = [{"item": str(n), "raw": "B" if n < 5 else "A"} for n in range(10)]
    sheet = join([jsonl(tmp_path / "a.jsonl", rows), jsonl(tmp_path / "b.jsonl", other)])
    found = low_margin_flips(sheet, 0, 1)
    assert found is not None
    # All five flips have the five lowest margins: p = 1 / C(10, 5).
    assert found == (5, 1.0, pytest.approx(math.log10(1 / 252)))
    assert low_margin_flips(sheet, 1, 0) is None


def test_mmd_tells_two_distributions_apart() -> None:
    rng = np.random.default_rng(9)

    def texts(letters: str) -> list[str]:
        return ["".join(rng.choice(list(letters), 20)) for _ in range(6)]

    same = [(texts("abc"), texts("abc")) for _ in range(10)]
    apart = [(texts("abc"), texts("cde")) for _ in range(10)]
    assert mmd(same, 199)[1] > 0.05
    assert mmd(apart, 199)[1] == pytest.approx(1 / 200)
    with pytest.raises(ValueError, match="no prompt"):
        mmd([])


def test_mmd_by_hand() -> None:
    # Within either model the texts agree at "a" or "b" and at the end: 1; across only at the end: 1/2.
    squared, _ = mmd([(["a", "a"], ["b", "b"])], 9)
    assert squared == pytest.approx(1 + 1 - 2 * 0.5)
