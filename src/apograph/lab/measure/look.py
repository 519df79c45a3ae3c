"""One pair examined as ``compare`` does it, through the same functions, and what is kept of the outcome."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from apograph.evidence.gauge import ALIGNED
from apograph.evidence.registry import Case
from apograph.evidence.weights import Compared
from apograph.findings import Finding, Json, Unexamined
from apograph.lab.make import release_path
from apograph.lab.measure.maps import recovered
from apograph.lab.measure.pair import Pair
from apograph.release import open_release
from apograph.release.types import Release

LEFT_OUT = ("weights.seed_audit",)
"""An innocent explanation that changes no conclusion, and takes longer than all else together."""


def look(folder: Path, pair: Pair) -> dict[str, Json]:
    """A row of ``measured.jsonl``; what failed is named in ``failed`` and ``unexamined``."""
    from apograph.weigh.examine import chosen, run
    from apograph.weigh.weights import conclude_weights

    began, busy = time.monotonic(), time.process_time()
    a, b = (_opened(folder, name) for name in (pair.reference, pair.candidate))
    bases, claimed = (tuple(_opened(folder, n) for n in names) for names in (pair.bases, pair.claimed))
    case = Case(a, b, bases=bases, claimed=claimed)
    findings: list[Finding] = []
    gaps: list[Unexamined] = []
    for examiner in chosen(("weights",)):
        if examiner.name not in LEFT_OUT:
            run(case, examiner, findings, gaps)
    concluded = conclude_weights(findings)
    row: dict[str, Json] = {
        "reference": pair.reference,
        "candidate": pair.candidate,
        "group": pair.group,
        "bases": list(pair.bases),
        "claimed": list(pair.claimed),
        "relation": None if concluded is None else concluded.relation,
        "rule": None if concluded is None else concluded.sentence.key.rpartition(".")[2],
        "direction": None if concluded is None else concluded.direction,
        "arrows": {f.id: f.arrow for f in findings if f.arrow is not None},
        "findings": {f.id: [f.bearing.value, f.message.key] for f in findings},
        "log10_p": {f.id: f.strength.log10_p for f in findings if f.strength.log10_p is not None},
        "measures": {f"{f.id} {m.name}": m.value for f in findings for m in f.measures},
        "coins": _coins(findings),
        "merged": _rows(findings, "weights.merge"),
        "unexamined": [gap.reason.key for gap in gaps],
        "failed": [f"{gap.reason.key} {dict(gap.reason.params)}" for gap in gaps if gap.fault],
        "seconds": round(time.monotonic() - began, 3),
        "busy": round(time.process_time() - busy, 3),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    aligned = case.shared.get(ALIGNED)
    truth = folder / "truth" / f"{pair.candidate}.npz"
    row["maps"] = recovered(None if aligned is None else aligned.gauge, truth)
    return row | _tensors(case)


@lru_cache(maxsize=32)
def _opened(folder: Path, name: str) -> Release:
    """Opened once for pairs that follow each other: starting its reader takes as long as an examination."""
    return open_release(str(release_path(folder, name)))


def _coins(findings: list[Finding]) -> Json:
    """Every module: label, family, pairing, heads, thrown, cosine, corrected log10 p."""
    tables = [
        e.data["rows"]
        for f in findings
        if f.id == "weights.coins"
        for e in f.exhibits
        if e.kind == "table" and "coins_heads" in e.data["columns"]
    ]
    return [[_plain(cell) for cell in row] for row in tables[0]] if tables else []


def _rows(findings: list[Finding], id: str) -> Json:
    rows = [e.data["rows"] for f in findings if f.id == id for e in f.exhibits if e.kind == "table"]
    return [[_plain(cell) for cell in row] for row in rows[0]] if rows else []


def _plain(cell: Any) -> Json:
    """A cell's own value, or the last part of the key of its word."""
    if isinstance(cell, Mapping):
        return str(cell["key"]).rpartition(".")[2]
    return cell  # type: ignore[no-any-return]


def _tensors(case: Case) -> dict[str, Json]:
    """Names and classes of the matched matrices, as they stand and behind a recovered gauge."""
    plain, aligned = case.shared.get("weights.compared"), case.shared.get(ALIGNED)
    told: dict[str, Json] = {}
    for key, found in (("compared", plain), ("aligned", None if aligned is None else aligned.compared)):
        if isinstance(found, Compared):
            told[key] = [
                [t.match.reference.name, t.match.candidate.name, t.kind] for t in found.told if t.matrix
            ]
    return told
