"""Copyright and licence headers of matched code that stand on one side and are missing on the other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from apograph.evidence.code_analysis import Analysis, analysis
from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import Bearing, Exhibit, Finding, Location, Message, Strength, Unexamined
from apograph.release.code import Module

_RIGHTS = re.compile(r"copyright|licen[cs]ed?\b|spdx-license|all rights reserved|\(c\)", re.IGNORECASE)
_WORD = re.compile(r"\w+")
SAME = 0.6
"""Share of a header's words that the other side's header holds when it counts as kept."""
MIN_SHARED = 100.0
MAX_HEADERS = 20
_LONGEST = 2_000


def rights(module: Module) -> str | None:
    """A source's header where it speaks of rights, None otherwise."""
    return module.header[:_LONGEST] if _RIGHTS.search(module.header) else None


@examiner("code", needs=Part.CODE)
def headers(case: Case) -> Iterator[Finding | Unexamined]:
    """Pairs of files that share code of which one has a header and the other lacks it."""
    found = analysis(case)
    shared: defaultdict[tuple[str, str], float] = defaultdict(float)
    for row in found.clear_rows:
        shared[row.match.left.path, row.match.right.path] += row.shared
    left = {m.path: m for m in found.reference.modules}
    right = {m.path: m for m in found.candidate.modules}
    pairs = sorted((p for p, bits in shared.items() if bits >= MIN_SHARED), key=lambda p: (-shared[p], p))
    count = 0
    for a, b in pairs:
        for here, there, side in ((left[a], right[b], "reference"), (right[b], left[a], "candidate")):
            text = rights(here)
            if text is not None and not _kept(text, there.header) and count < MAX_HEADERS:
                yield _missing(found, here, there, side, text, count)
                count += 1


def _kept(text: str, other: str) -> bool:
    words, held = set(_WORD.findall(text.lower())), set(_WORD.findall(other.lower()))
    return len(words & held) >= SAME * len(words)


def _missing(found: Analysis, here: Module, there: Module, side: str, text: str, number: int) -> Finding:
    other = "candidate" if side == "reference" else "reference"
    sources = {"reference": found.reference, "candidate": found.candidate}
    return Finding(
        id="code.headers" + (f":{number + 1}" if number else ""),
        channel="code",
        message=Message("code.headers.missing", {"side": side, "here": here.path, "there": there.path}),
        bearing=Bearing.CONTEXT,
        strength=Strength("none"),
        exhibits=(Exhibit("list", {"items": text.split("\n")}, Message("code.headers.text")),),
        locations=(
            Location(side, here.path, sources[side].release.revision, 1, max(1, here.header_lines)),
            Location(other, there.path, sources[other].release.revision, 1, 1),
        ),
        alternatives=(Message("code.headers.alternative"),),
        limits=(Message("code.headers.limit"),),
    )
