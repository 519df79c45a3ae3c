"""One headline over channels: e-values from exact and calibrated p, averaged with weights fixed in advance.

Channels have one cause, so their p may not be multiplied (Fisher) or added as normal scores (Stouffer). The
arithmetic mean of e-values is an e-value however they depend on each other (Vovk and Wang, Annals of
Statistics 49, 2021). Its null is that *all* the channels' nulls hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from apograph.findings import Bearing, Finding, Message

CHANNELS = ("weights", "answers")
"""Channels that can have an exact or calibrated p, with equal weights, fixed before any case is seen. One
without such a finding contributes 1."""
CAP = 1e6
CHANCE = 0.05
"""p above which chance explains a channel: an average of such channels says nothing to a reader."""


def e_value(log10_p: float) -> float:
    """½·p^(−½), at most ``CAP``: its mean is at most 1 where p is uniform or larger (1/p's is not)."""
    return CAP if log10_p < -2 * 7 else min(CAP, 0.5 * 10 ** (-log10_p / 2))


def channel_e(findings: Sequence[Finding]) -> float | None:
    """Of one channel: its least p times the number of its p; None without an exact or calibrated p.

    Findings whose bearing is context are left out: what a base explains has another cause than the null asks
    about.
    """
    told = [
        f.strength.log10_p
        for f in findings
        if f.strength.kind in ("exact", "calibrated")
        and f.strength.log10_p is not None
        and f.bearing is not Bearing.CONTEXT
    ]
    return e_value(min(0.0, min(told) + log10(len(told)))) if told else None


def headline(findings: Sequence[Finding]) -> Message | None:
    """The average over ``CHANNELS`` in words; None where no channel has such a p of at most ``CHANCE``."""
    by_channel = {c: channel_e([f for f in findings if f.channel == c]) for c in CHANNELS}
    told = [channel for channel, e in by_channel.items() if e is not None]
    if max((e for e in by_channel.values() if e is not None), default=0.0) < e_value(log10(CHANCE)):
        return None
    average = sum(1.0 if e is None else e for e in by_channel.values()) / len(CHANNELS)
    shown = float(f"{average:.2g}")
    return Message(
        "conclusion.note.e_value", {"list": ", ".join(told), "e": int(shown) if shown >= 10 else shown}
    )
