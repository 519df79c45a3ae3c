"""Seed audit: whether both sides' initial weights are those of a common seed, the innocent explanation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apograph.evidence.coin_test import two_sided
from apograph.evidence.descent import COMPARED
from apograph.evidence.descent_family import Family, family
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.seed_stream import GROUP, Floats, centred, normals, unit_stream
from apograph.evidence.weights import Compared
from apograph.findings import SIDES, Exhibit, Finding, Json, Measure, Message, Strength, Unexamined

SEEDS = (0, 1, 42, 123, 1234, 1337, 2023, 2024, 3407)
WORDS = 1 << 20
"""Numbers of each generator that are searched."""
PROBES, LENGTH = 4, 1 << 14
"""Matrices of each side that are looked for, by their first elements."""
CLEAR = 8.0
"""Standard deviations above which a place counts as found; then the signs of all rows are tested."""


@dataclass(frozen=True, slots=True)
class Hit:
    """``name`` of a side begins at ``place`` of the numbers of ``seed``, drawn by ``law``; of ``n`` rows
    ``heads`` agree in sign; ``log10_p`` is corrected for all that was tried."""

    side: str
    name: str
    seed: int
    law: str
    place: int
    heads: int
    n: int
    log10_p: float


@examiner("weights", needs=Part.TENSORS)
def seed_audit(case: Case) -> Iterator[Finding | Unexamined]:
    """Looks for the sides' matrices among the first numbers of common seeds. Only where some pair is alike
    as after training: that is what a shared seed explains."""
    found = case.shared.get(COMPARED)
    if not isinstance(found, Compared):
        return
    told = [t for t in found.told if t.kind in ("fine_tuned", "merged", "correlated")]
    with family(case, told) as kin:
        if kin is not None:
            yield _finding(audit(_probes(kin)))


def _probes(kin: Family) -> dict[tuple[str, str], NDArray[np.float32]]:
    """The first matrices of both sides, whole, as far as they can lie within the search."""
    probes: dict[tuple[str, str], NDArray[np.float32]] = {}
    for t in kin.told[:PROBES]:
        for number, side in enumerate(SIDES):
            name = (t.match.reference, t.match.candidate)[number].name
            store = kin.members[number].store
            shape = store.infos[name].shape or (1,)
            width = math.prod(shape[1:])
            rows = min(shape[0], WORDS // 2 // width)
            if rows > 0:
                values = store.block(name, 0, rows * width).reshape(rows, width)
                probes[side, name] = values.astype(np.float32)
    return probes


def audit(
    probes: dict[tuple[str, str], NDArray[np.float32]], seeds: Sequence[int] = SEEDS, words: int = WORDS
) -> list[Hit]:
    """Every probe [rows, columns] that begins at some place of a seed's numbers. Normal draws are looked for
    at whole groups of 16, uniform ones (also the truncated normal law's) everywhere."""
    tried = math.log10(max(len(seeds) * words * 2 * len(probes), 1))
    hits = []
    for seed in seeds:
        units = unit_stream(seed, words)
        best: dict[tuple[str, str], tuple[float, str, int, Floats]] = {}
        for law, drawn, step in (("normal", normals(units), GROUP), ("uniform", centred(units), 1)):
            spectrum = np.fft.rfft(drawn, 2 * words)
            for probe, values in probes.items():
                place, height = _best(spectrum, drawn, values.reshape(-1)[:LENGTH], step)
                if height >= max(CLEAR, best[probe][0] if probe in best else 0.0):
                    best[probe] = height, law, place, drawn  # a normal draw resembles its uniform numbers
        for (side, name), (_, law, place, drawn) in best.items():
            heads, n = _rows(drawn, probes[side, name], place)
            hits.append(Hit(side, name, seed, law, place, heads, n, min(0.0, two_sided(heads, n) + tried)))
    return hits


def _best(
    spectrum: NDArray[np.complexfloating], drawn: Floats, values: Floats, step: int
) -> tuple[int, float]:
    """Where the numbers fit ``values`` best, and by how many standard deviations of independent ones."""
    size = 2 * (len(spectrum) - 1)
    own = values - values.mean()
    length = float(np.linalg.norm(own)) * float(drawn.std())
    if length == 0:
        return 0, 0.0
    fits = np.fft.irfft(spectrum * np.conj(np.fft.rfft(own, size)), size)
    fits = fits[: len(drawn) - len(values) + 1 : step]
    best = int(np.argmax(np.abs(fits)))
    return best * step, float(abs(fits[best])) / length


def _rows(drawn: Floats, values: NDArray[np.float32], place: int) -> tuple[int, int]:
    """Rows whose inner product with the numbers from ``place`` is positive, and all rows."""
    rows = min(len(values), (len(drawn) - place) // values.shape[1])
    start = drawn[place : place + rows * values.shape[1]].reshape(rows, -1).astype(np.float64)
    products = np.einsum("ij,ij->i", start, values[:rows].astype(np.float64))
    return int((products > 0).sum()), int((products != 0).sum())


def _finding(hits: Sequence[Hit]) -> Finding:
    seeds = {side: {h.seed for h in hits if h.side == side} for side in SIDES}
    both = seeds["reference"] & seeds["candidate"]
    if both:
        key = "both"
    elif all(seeds.values()):
        key = "different"
    else:
        key = "one" if hits else "nothing"
    rows: list[Json] = [
        [h.side, h.name, h.seed, _law(h.law), h.place, h.heads, h.n, round(h.log10_p, 1)] for h in hits
    ]
    columns: list[Json] = [
        *("seed_side", "seed_tensor", "seed_seed", "seed_law", "seed_place"),
        *("coins_heads", "coins_thrown", "coins_log10_p"),
    ]
    table = Exhibit("table", {"columns": columns, "rows": rows}, Message("weights.seed.caption"))
    null = Message("weights.seed.null") if hits else None
    return Finding(
        id="weights.seed",
        channel="weights",
        message=Message(
            f"weights.seed.{key}",
            {"seeds": ", ".join(map(str, sorted(both or {h.seed for h in hits}))), "n": len(SEEDS)},
        ),
        strength=Strength("exact", min(h.log10_p for h in hits), null) if hits else Strength("descriptive"),
        measures=(Measure("seed_found", len(hits)), Measure("seed_common", len(both))),
        exhibits=(table,) if hits else (),
        limits=(Message("weights.seed.limit", {"words": WORDS}),),
    )


def _law(law: str) -> Json:
    return {"key": f"weights.seed.law.{law}", "params": {}}
