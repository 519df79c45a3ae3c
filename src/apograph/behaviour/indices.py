"""Indices of answer copying from educational measurement: K, K1, K2 and S1, S2.

Holland 1996 (ETS RR-96-07); Sotaridona & Meijer 2002 and 2003 (J. Educ. Meas. 39, 115; 40, 53).
Each asks how many of the source's wrong answers a model *with as many errors as the candidate* would repeat.
The papers group thousands of examinees by their number of errors; here every panel model is its own group, so
with a small panel the fitted rate is uncertain and the indices are descriptive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Sheet
from apograph.behaviour.view import reference_view
from apograph.weigh.tails import binomial_tail, poisson_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray


def copying_indices(sheet: Sheet, reference: int, candidate: int, panel: Sequence[int]) -> dict[str, float]:
    """log10 of K (peers with exactly as many errors), K1 and K2 (linear and quadratic regression on the share
    of errors), S1 and S2 (Poisson log-linear); an index that the panel is too small for is left out.

    S2 adds the answers that are right in both, each with weight 1 - p_i, p_i = (panel models right + 1) /
    (panel models + 2): matches on items that few solve count nearly as much as an error. (The paper's weight
    is exponential in p_i with a guessing rate, which open answers do not have.)
    """
    view = reference_view(sheet, reference)
    errors = view.tried.shape[1]
    used = [j for j in panel if sheet.valid(j).any()]
    if not errors or not used:
        return {}
    wrong = np.array([_errors(sheet, j) for j in used], dtype=float)
    own = _errors(sheet, candidate)
    matches = np.array([view.counts(j)[1] for j in used], dtype=float)
    m = view.counts(candidate)[1]
    found: dict[str, float] = {}
    peers = matches[np.isclose(wrong, own)]
    if len(peers):
        found["K"] = binomial_tail(errors, max(float(peers.mean()), 0.5) / errors, m)
    for name, degree in (("K1", 1), ("K2", 2)):
        if len(np.unique(wrong)) > degree + 1:
            fitted = float(np.polyval(np.polyfit(wrong, matches / errors, degree), own))
            found[name] = binomial_tail(errors, min(max(fitted, 0.5 / errors), 1.0), m)
    if len(np.unique(wrong)) > 2:
        found["S1"] = poisson_tail(_poisson_mean(wrong, matches, own), m, errors)
        weights = _weights(sheet, reference, used)
        total = np.array([_right_matches(sheet, j, weights) for j in used]) + matches
        observed = m + _right_matches(sheet, candidate, weights)
        top = errors + int(weights.sum())
        found["S2"] = poisson_tail(_poisson_mean(wrong, total, own), min(math.floor(observed), top), top)
    return found


def _errors(sheet: Sheet, j: int) -> float:
    """Share of wrong answers among the comparable ones."""
    valid = sheet.valid(j)
    return float((~sheet.right(j))[valid].mean()) if valid.any() else 0.0


def _weights(sheet: Sheet, reference: int, panel: Sequence[int]) -> NDArray[Any]:
    tried = sum(sheet.valid(j).astype(float) for j in panel)
    solved = sum((sheet.right(j) & sheet.valid(j)).astype(float) for j in panel)
    ease = (solved + 1.0) / (tried + 2.0)
    weights: NDArray[Any] = np.where(sheet.right(reference) & sheet.valid(reference), 1.0 - ease, 0.0)
    return weights


def _right_matches(sheet: Sheet, j: int, weights: NDArray[Any]) -> float:
    return float(weights[sheet.right(j) & sheet.valid(j)].sum())


def _poisson_mean(x: NDArray[Any], y: NDArray[Any], at: float) -> float:
    """Mean at ``at`` of a Poisson regression log μ = β0 + β1·x, by iterated weighted least squares."""
    centred = x - x.mean()
    design = np.stack([np.ones_like(centred), centred], axis=1)
    beta = np.array([math.log(float(y.mean()) + 0.5), 0.0])
    for _ in range(50):
        mean = np.exp(np.clip(design @ beta, -30, 30))
        information = design.T @ (design * mean[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(information, design.T @ (y - mean))
        beta = beta + np.clip(step, -2.0, 2.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    return math.exp(float(np.clip(beta[0] + beta[1] * (at - x.mean()), -30, 30)))
