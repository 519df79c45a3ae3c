"""Findings on noise: is the candidate like the reference with noise added to its weights?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from apograph.behaviour.noise import low_margin_flips, noise_test, star
from apograph.behaviour.tell import CHANNEL, measure, strength, words
from apograph.findings import Finding, Unexamined

if TYPE_CHECKING:
    from apograph.behaviour.answers import Answers


def findings(answers: Answers) -> Iterator[Finding | Unexamined]:
    """The noise control where noised answers are given, and the margins where the reference's are known."""
    if answers.noised:
        yield _noise(answers)
    flips = low_margin_flips(answers.sheet, answers.reference, answers.candidate)
    if flips is not None:
        n, share, log10_p = flips
        yield Finding(
            f"{CHANNEL}.margins",
            CHANNEL,
            words("margins.found", n=n, share=share),
            strength=strength("exact", log10_p, words("null.margins")),
            measures=(measure("flips", n), measure("low_margin", share, n)),
            limits=(words("limit.margins"),),
        )


def _noise(answers: Answers) -> Finding:
    sheet, r, c = answers.units, answers.reference, answers.candidate
    test = noise_test(sheet, r, c, answers.noised)
    rays = star(sheet, r, c, answers.noised)
    key = "consistent" if test.p > 0.01 else "different"
    limits = [words("limit.noise")]
    if not test.enough:
        limits.append(words("limit.seeds", n=test.seeds))
    return Finding(
        f"{CHANNEL}.noise",
        CHANNEL,
        words(
            f"noise.{key}",
            seeds=test.seeds,
            candidate=test.candidate,
            low=test.low,
            high=test.high,
        ),
        strength=strength("exact", math.log10(test.p), words("null.noise")),
        measures=(
            *(() if test.sigma is None else (measure("sigma", test.sigma),)),
            measure("noise_p", test.p, test.seeds),
            measure("star_candidate", rays.candidate),
            measure("star_noised", rays.noised),
            measure("star_across", rays.across),
            measure("star_between", rays.between),
        ),
        limits=tuple(limits),
    )
