"""Pairs that show what a base must explain, and what one that is none must not: relatives, strange bases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from apograph.lab.manifest import Manifest
from apograph.lab.measure.pair import Pair

ROOTS = 4
"""Nulls, counted from the first, whose derivatives are paired with each other."""
ROUNDED = (
    ("int8", "int4"), ("int8", "nf4"), ("int4", "nf4"), ("q8_0", "q4_0"), ("int8", "q8_0"), ("bf16", "int8"),
    ("bf16", "fp16"),
)  # fmt: skip
"""Groups: the same model stored twice with less precision."""
DISGUISED = (("disguised", "laundered"), ("rotated", "values"), ("units", "disguised-noise-int8"))
"""Groups: the same model disguised twice."""
TOWERS = ("", "-tuned", "-lora")
"""Ends of names: a model itself and what was made from it, all with one tower."""
COPIES = ("bf16", "int4", "noise-1-10", "pruned", "units", "disguised", "narrow", "fine-tuned", "LoRA")
"""Groups that are examined with a stranger as their base."""


def relatives(manifest: Manifest) -> Iterator[Pair]:
    """Both made from one release that is given as base or not."""
    for root, own in _families(manifest):
        for group, pairs in (("two roundings", ROUNDED), ("both disguised", DISGUISED)):
            for a, b in pairs:
                yield Pair(own[a], own[b], group)
                yield Pair(own[a], own[b], group, (root,))
        for a, b in ((f"{root}+lora", f"{root}+lora-b"), (f"{root}+lora-b", f"{root}+lora-c")):
            for bases in ((), (root,), (f"{root}+bf16",), (f"{root}+fp16",)):
                yield Pair(a, b, "LoRA siblings, other types", bases)
    yield from _towers(manifest)


def _towers(manifest: Manifest) -> Iterator[Pair]:
    """One tower on both sides, made by neither: beside strangers, beside siblings and their base."""
    roots = [root for root, _ in _families(manifest)]
    for kind in ("tower", "tower-trained"):
        for a, b in pairwise(roots):
            yield Pair(f"{a}+{kind}", f"{b}+{kind}", "shared tower")
            yield Pair(f"{a}+{kind}", f"{b}+{kind}", "shared tower", (a,))
        for root in roots:
            plain, tuned, adapted = (f"{root}+{kind}{end}" for end in TOWERS)
            for a, b in ((tuned, adapted), (plain, tuned)):
                for bases in ((), (root,), (root, "bert-0")):
                    yield Pair(a, b, "shared tower, siblings", bases)


def strange_bases(manifest: Manifest) -> Iterator[Pair]:
    """Copies, siblings and strangers, with a base that neither side was made from, or only one."""
    found = list(_families(manifest))
    for (root, own), (other, _) in pairwise(found):
        for group in COPIES:
            yield Pair(root, own[group], f"{group}, a stranger as base", (other,))
        yield Pair(f"{root}+lora", f"{root}+tuned", "siblings, a stranger as base", (other,))
        yield Pair(f"{root}+lora", f"{other}+tuned", "strangers, the base of one", (root,))
        yield Pair(root, other, "strangers, the child of one as base", (f"{root}+tuned",))
    nulls = [name for name, recipe in manifest.recipes.items() if recipe.group == "null"]
    for a, b, c in zip(nulls, nulls[1:], nulls[2:], strict=False):
        yield Pair(a, b, "strangers, a stranger as base", (c,))


def _families(manifest: Manifest) -> Iterator[tuple[str, dict[str, str]]]:
    """Nulls with what was made from each, by group, the first of each group."""
    for root, recipe in list(manifest.recipes.items())[:ROOTS]:
        own: dict[str, str] = {}
        for name, made in manifest.recipes.items():
            if not made.trained and made.parents[0].name == root:
                own.setdefault(made.group, name)
        if recipe.group == "null" and set(COPIES) <= own.keys():
            yield root, own
