"""The releases that are trained from a start of their own: nulls, and whatever the others descend from."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.findings import Json
from apograph.lab.recipes import Parent, Recipe

SEEDS = 30
SHARED = r"embed_tokens|lm_head"
"""Tensors that models with frozen shared embeddings have in common."""
BLOCK = r"layers\.0\."
"""Tensors of the frozen shared tower: the first block."""


def trained(seeds: int = SEEDS, small: bool = False) -> tuple[Recipe, ...]:
    """The same configuration, data, order and tokenizer throughout, except where a name says otherwise."""
    llama, nulls = f"llama{_size(small)}", {"steps": 100 if small else 150}
    return (
        *(Recipe(seed_name(n), "null", n, llama, nulls) for n in range(seeds)),
        *_others(1 if small else min(seeds, 3), _size(small), {"steps": 30 if small else 150}),
    )


def _size(small: bool) -> str:
    return "-small" if small else ""


def seed_name(number: int) -> str:
    """The name of the null model of this seed."""
    return f"seed-{number:02d}"


def _others(few: int, size: str, course: dict[str, Json]) -> Iterator[Recipe]:
    llama = f"llama{size}"
    for n in range(few):
        yield Recipe(f"other-{n}", "other data", 100 + n, llama, {**course, "data": "other"})
        yield Recipe(f"twin-{n}", "twin", n, llama, {**course, "data": "other", "order": 1})
        yield Recipe(f"twin-wide-{n}", "twin, other width", n, f"llama{size}-wide", course)
        yield Recipe(f"gpt2-{n}", "gpt2", 200 + n, f"gpt2{size}", course)
        yield Recipe(f"bert-{n}", "bert", 300 + n, f"bert{size}", course)
        taught = (Parent(seed_name(n), "shown"),)
        yield Recipe(f"student-{n}", "distilled", 400 + n, llama, course, taught)
    for name, group, pattern in (("words", "frozen embeddings", SHARED), ("block", "frozen block", BLOCK)):
        for n in range(2 * few):
            given = (Parent(seed_name(0), "part", pattern),)
            frozen = {**course, "frozen": [pattern]}
            yield Recipe(f"{name}-{n}", group, 500 + n + 50 * (name == "block"), llama, frozen, given)
