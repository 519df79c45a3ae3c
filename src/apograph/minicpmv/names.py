"""Tensor names: how another release's spelling is turned into ours, which is MiniCPM's own.

A renaming is a mapping of prefixes, or of whole names, from the release's spelling to ours. Llama3-V's is
known: its names are MiniCPM's with two prefixes replaced ("vison" is their spelling). Any other is found by
``align``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from apograph.findings import Message, Param, Refusal

_PART = re.compile(r"(\.weight)\..*\Z", re.DOTALL)
MINICPM: Mapping[str, str] = {}
LLAMA3V: Mapping[str, str] = {"vison.": "vpm.", "projection.": "resampler."}


def renamed(name: str, renaming: Mapping[str, str]) -> str:
    """Our name for ``name``: by the whole name, else by its longest known prefix, else unchanged."""
    if name in renaming:
        return renaming[name]
    prefixes = [p for p in renaming if p.endswith(".") and name.startswith(p)]
    if not prefixes:
        return name
    longest = max(prefixes, key=len)
    return renaming[longest] + name[len(longest) :]


def whole(name: str) -> str:
    """The weight to which a part of a quantised weight belongs ("x.weight.absmax": "x.weight")."""
    return _PART.sub(r"\1", name)


def guess(names: Iterable[str]) -> Mapping[str, str]:
    """Which of the known spellings a release uses, by the prefixes that occur."""
    found = {name.split(".", 1)[0] for name in names}
    return LLAMA3V if {"vison", "projection"} & found else MINICPM


def check(found: Iterable[str], needed: Iterable[str]) -> None:
    """Raises Refusal(3) unless the names are exactly the model's, and names the first difference."""
    have, want = set(found), set(needed)
    missing, extra = sorted(want - have), sorted(have - want)
    if missing or extra:
        example = (missing or extra)[0]
        params: dict[str, Param] = {"missing": len(missing), "extra": len(extra), "example": example}
        raise Refusal(3, Message("minicpmv.refused.names", params))
