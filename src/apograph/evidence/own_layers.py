"""Layers that code takes away although the checkpoint stores them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apograph.align.fit import numbered
from apograph.evidence.consistency_rows import finding
from apograph.evidence.own_code import read_code, side_of
from apograph.evidence.registry import Case
from apograph.findings import Finding, Location, Param, Side
from apograph.release.types import Release

TOWERS = {
    "so400m": 27,
    "clip-vit-large-patch14": 24,
    "clip-vit-base-patch": 12,
    "siglip-base-patch": 12,
    "siglip-large-patch": 24,
}
"""Layers of widely published image towers, by a part of their name (their own configurations on the hub:
num_hidden_layers; for so400m also timm's vit_so400m, depth 27)."""
_SWITCH = re.compile(r"(?P<no>not \(?)?(?:self\.)?config\.(?P<key>\w+)\)?")


def dropped_layers(case: Case, side: Side, release: Release, code: dict[str, Any]) -> Iterator[Finding]:
    """A statement that shortens a tower whose checkpoint holds every layer of the full tower."""
    if release.tensors is None:
        return
    counts = numbered({e.name: None for e in release.tensors.entries})
    for cut in code["cuts"]:
        removed = _removed(cut["slice"])
        if removed is None or not _applies(cut["switch"], release, code):
            continue
        lists = [p for p in counts if f".{p}".endswith(f".{cut['layers']}.")]
        if len(lists) != 1:
            continue
        stored = counts[lists[0]]
        depth, source = _depth(case, side, release, lists[0])
        if depth is None or stored != depth:
            continue
        params: dict[str, Param] = {
            "path": cut["path"], "line": cut["line"], "slice": cut["slice"], "layers": lists[0].rstrip("."),
            "stored": stored, "last": stored - 1, "left": depth - removed, "source": source,
        }  # fmt: skip
        place = Location(side, cut["path"], release.revision, cut["line"], cut["end"])
        yield finding("dropped_layers", side, params, locations=(place,))


def _removed(text: str) -> int | None:
    """How many layers a slice takes away; None when that depends on how many there are."""
    match = re.fullmatch(r":-(\d{1,3})|(\d{1,3}):|del \[(-?\d{1,3})\]", text)
    if match is None:
        return None
    return 1 if match[3] else int(match[1] or match[2])


def _applies(switch: str, release: Release, code: dict[str, Any]) -> bool:
    """Whether the statement is reached: no switch, or a switch of the configuration that is on."""
    if not switch:
        return True
    match = _SWITCH.fullmatch(switch)
    if match is None:
        return False
    settings = code["model"]["settings"] if code["model"] and code["model"]["tensors"] else {}
    value = settings.get(match["key"], release.config.get(match["key"]))
    return isinstance(value, bool) and value != bool(match["no"])


def _depth(case: Case, side: Side, release: Release, prefix: str) -> tuple[int | None, str]:
    """The number of layers of the full tower and what says so: a published tower that the release names, or
    the same tower in the other side's code and configuration."""
    texts = [str(v) for v in release.config.values() if isinstance(v, str)]
    if release.card is not None:
        texts += [release.card.text, *(str(v) for v in release.card.declared.values())]
    named = {name: depth for name, depth in TOWERS.items() if any(name in t.lower() for t in texts)}
    if len(set(named.values())) == 1:
        return next(iter(named.values())), next(iter(named))
    other: Side = "reference" if side == "candidate" else "candidate"
    code, _ = read_code(case, side_of(case, other), other)
    model = code["model"] if code else None
    if not model or not model["tensors"]:
        return None, ""
    tail = prefix.partition(".")[2]
    depths = {n for p, n in model["lists"].items() if p.partition(".")[2] == tail}
    return (depths.pop(), str(model["path"])) if len(depths) == 1 else (None, "")
