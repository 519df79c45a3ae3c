"""Which pairs of a set of releases are examined, and with which bases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from apograph.lab.manifest import Manifest, truth

HARD = (
    "other data", "twin", "twin, other width", "distilled", "frozen embeddings", "frozen block",
    "gpt2", "bert",
)  # fmt: skip
"""Groups of trained releases that are compared with the nulls, of which they must be told."""
SWAPPED = 4
"""Every such derivative is examined with its sides exchanged as well."""
STRANGERS = 3
"""Nulls to which every release of ``HARD`` without a seed of its own is compared."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of releases; ``group`` is what the pair serves for, ``bases`` and ``claimed`` are given too."""

    reference: str
    candidate: str
    group: str
    bases: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """One line that no other pair has."""
        return " ".join([self.reference, self.candidate, *self.bases, "-", *self.claimed])


def pairs(manifest: Manifest) -> tuple[Pair, ...]:
    """Every pair, each once, in an order that does not change."""
    found = (*_nulls(manifest), *_hard(manifest), *_derived(manifest), *_siblings(manifest))
    return tuple({pair.key: pair for pair in found}.values())


def _nulls(manifest: Manifest) -> Iterator[Pair]:
    for a, b in combinations(_of(manifest, "null"), 2):
        yield Pair(a, b, "null")


def _hard(manifest: Manifest) -> Iterator[Pair]:
    nulls = _of(manifest, "null")
    for group in HARD:
        own = _of(manifest, group)
        for number, name in enumerate(own):
            kin = [n for n in nulls if truth(manifest, n, name).relation != "independent"]
            shown = [n for n in nulls if truth(manifest, n, name).shown]
            others = [n for n in nulls if n not in (*kin, *shown)][number : number + STRANGERS]
            for null in dict.fromkeys((*kin, *shown, *others)):
                special = (
                    group if null in (*kin, *shown) else "other data" if group == "other data" else "stranger"
                )
                yield Pair(null, name, special)
        if group.startswith("frozen"):
            for a, b in combinations(own, 2):
                yield Pair(a, b, group)
                yield Pair(a, b, group, truth(manifest, a, b).bases[:1])


def _derived(manifest: Manifest) -> Iterator[Pair]:
    """Every derivative with what it was made from, and what it was made to look like."""
    number = 0
    for name, recipe in manifest.recipes.items():
        if recipe.trained:
            continue
        for parent in recipe.parents:
            group = recipe.group if parent.inherits == "weights" else f"{recipe.group}, the target"
            if recipe.group == "planted" and parent.inherits == "weights":
                group = "planted, its own origin"
            yield Pair(parent.name, name, group)
            known = truth(manifest, parent.name, name)
            others = tuple(p.name for p in recipe.parents if p is not parent and p.inherits == "weights")
            if known.bases:
                yield Pair(parent.name, name, recipe.group, known.bases[-1:], others)
            number += 1
            if number % SWAPPED == 0:
                yield Pair(name, parent.name, group)
        for far in truth(manifest, recipe.parents[0].name, name).bases:
            yield Pair(far, name, f"{recipe.group}, from further up")


def _siblings(manifest: Manifest) -> Iterator[Pair]:
    """Derivatives of one release by further training, with and without it; and of different releases."""
    kinds = ("sibling", "fine-tuned", "LoRA")
    for root in _of(manifest, "null"):
        own = [n for n, r in manifest.recipes.items() if r.group in kinds and r.parents[0].name == root]
        for a, b in combinations(own, 2):
            yield Pair(a, b, "siblings")
            yield Pair(a, b, "siblings", (root,))
    tuned = [n for n, r in manifest.recipes.items() if r.group == "fine-tuned"]
    for a, b in combinations(tuned, 2):
        yield Pair(a, b, "children of strangers")


def _of(manifest: Manifest, group: str) -> list[str]:
    return [name for name, recipe in manifest.recipes.items() if recipe.group == group]
