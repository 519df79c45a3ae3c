"""Which pairs of a set of releases are examined, and with which bases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from apograph.lab.manifest import Manifest, truth
from apograph.lab.measure.kin import relatives, strange_bases
from apograph.lab.measure.pair import Pair

HARD = (
    "other data", "twin", "twin, other width", "distilled", "frozen embeddings", "frozen block",
    "gpt2", "bert",
)  # fmt: skip
"""Groups of trained releases that are compared with the nulls, of which they must be told."""
SWAPPED = ("seed-01", "seed-02", "gpt2-0")
"""Whatever is derived from these is examined with its sides exchanged as well."""
STORED = ("bf16",)
"""Groups of parents that beside their own base have nothing of their own to be inherited."""
STRANGERS = 3
"""Nulls to which every release of ``HARD`` without a seed of its own is compared."""


def pairs(manifest: Manifest) -> tuple[Pair, ...]:
    """Every pair, each once, in an order that does not change."""
    plans = (_nulls, _hard, relatives, strange_bases, _siblings, _derived)
    found = (pair for plan in plans for pair in plan(manifest))
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
            stored = manifest.recipes[parent.name].group in STORED
            if known.bases and not stored:
                yield Pair(parent.name, name, recipe.group, known.bases[-1:], others)
            if parent.name.startswith(SWAPPED):
                yield Pair(name, parent.name, group)
        for far in truth(manifest, recipe.parents[0].name, name).bases:
            older = truth(manifest, far, name).bases
            yield Pair(far, name, f"{recipe.group}, from further up")
            if older:
                yield Pair(far, name, f"{recipe.group}, from further up", older[-1:])


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
