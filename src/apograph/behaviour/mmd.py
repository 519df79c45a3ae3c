"""Are two models' sampled texts drawn from the same distribution? (Gao et al. 2024, arXiv 2410.20247.)

Maximum mean discrepancy with a kernel of equal characters at equal positions, prompt by prompt, and a
permutation of the two models' samples within every prompt. Rejecting says *different*; not rejecting never
shows descent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.sheet import Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH = 200
PERMUTATIONS = 999
_MOST_PROMPTS = 2000


def samples(sheet: Sheet, i: int, j: int) -> list[tuple[list[str], list[str]]]:
    """For every item with at least two samples of both models: the texts of each."""
    found = []
    for row in sorted(set(sheet.columns[i].repeats) & set(sheet.columns[j].repeats))[:_MOST_PROMPTS]:
        pair = []
        for column in (sheet.columns[i], sheet.columns[j]):
            codes = (int(column.codes[row]), *column.repeats[row])
            pair.append([sheet.texts[code] for code in codes if code >= 0])
        if min(len(pair[0]), len(pair[1])) >= 2:
            found.append((pair[0], pair[1]))
    return found


def mmd(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]], permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """(squared MMD, unbiased, mean over prompts; permutation p). Raises ValueError without any prompt."""
    if not pairs:
        raise ValueError("no prompt with two samples of each model")
    rng = np.random.default_rng(0)
    kernels = [(_kernel([*first, *second]), len(first)) for first, second in pairs]
    observed = float(np.mean([_squared(kernel, np.arange(len(kernel)), n) for kernel, n in kernels]))
    above = 0
    for _ in range(permutations):
        drawn = [_squared(kernel, rng.permutation(len(kernel)), n) for kernel, n in kernels]
        above += float(np.mean(drawn)) >= observed - 1e-12
    return observed, (1 + above) / (permutations + 1)


def _kernel(texts: Sequence[str]) -> NDArray[Any]:
    """Share of the first LENGTH positions at which two texts agree (a text's end is a sign of its own)."""
    width = min(LENGTH, max(len(text) for text in texts) + 1)
    signs = np.zeros((len(texts), width), np.int32)
    for row, text in enumerate(texts):
        codes = [ord(sign) for sign in text[:width]]
        signs[row, : len(codes)] = codes
    equal: NDArray[Any] = (signs[:, None, :] == signs[None, :, :]).mean(axis=2)
    return equal


def _squared(kernel: NDArray[Any], order: NDArray[Any], n: int) -> float:
    first, second = order[:n], order[n:]
    within = 0.0
    for group in (first, second):
        block = kernel[np.ix_(group, group)]
        within += (float(block.sum()) - float(np.trace(block))) / (len(group) * (len(group) - 1))
    return within - 2.0 * float(kernel[np.ix_(first, second)].mean())
