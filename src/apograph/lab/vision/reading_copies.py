"""Whether copies of the reading model answer as it does: under other names, with noise, quantised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apograph.lab.vision.copies import answer_ids, noised, open_model, quantised, respelled
from apograph.lab.vision.train import Sample

if TYPE_CHECKING:
    from apograph.minicpmv.quantise import Kind

NOISES = ("1/708", "1/100", "1/50", "1/25")


@dataclass(frozen=True, slots=True)
class Copy:
    """On how many of ``n`` pictures a copy's ids are those of the original, end of turn included."""

    name: str
    same: int
    n: int


def compared(release: Path, out: Path, samples: Sequence[Sample]) -> Iterator[Copy]:
    """Make the copies below ``out`` and ask them."""
    first = answer_ids(*open_model(release), samples)
    made = {"llama3v-names": respelled(release, out / "llama3v-names")}
    for noise in NOISES:
        name = f"noise-{noise.replace('/', '-')}"
        made[name] = noised(release, noise, 0, out / name)
    kinds: tuple[Kind, ...] = ("int8", "int4")
    made |= {kind: quantised(release, kind, out / kind) for kind in kinds}
    for name, folder in made.items():
        ids = answer_ids(*open_model(folder), samples)
        yield Copy(name, sum(a == b for a, b in zip(first, ids, strict=True)), len(samples))
