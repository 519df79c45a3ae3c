"""The releases that are made from others: every manipulation, alone and combined, from several parents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from apograph.findings import Json
from apograph.lab.plan_trained import SEEDS, seed_name
from apograph.lab.recipes import Parent, Recipe, Step

Chain = tuple[tuple[str, dict[str, Json]], ...]
SIGMAS = ("1/708", "1/10", "1/2", "1", "2", "4")
"""Noise: the founding case's, absolute; the others times each tensor's own standard deviation."""
UNITS: Chain = (("units permuted", {}),)
HEADS: Chain = (("heads permuted", {}),)
CHANNELS: Chain = (("channels permuted", {}),)
DISGUISE: Chain = (*UNITS, *HEADS, ("rotated", {}))
RENAMED: Chain = (("renamed", {}),)
SIMPLE: dict[str, Chain] = {
    "renamed": RENAMED,
    "bf16": (("cast", {"dtype": "bfloat16"}),),
    "fp16": (("cast", {"dtype": "float16"}),),
    **{f"noise-{s.replace('/', '-')}": (("noise", {"sigma": s, "relative": s != "1/708"}),) for s in SIGMAS},
    "noise-reseeded": (("noise", {"reseeded": True}),),
    "noise-bf16": (("noise", {}), ("cast", {"dtype": "bfloat16"})),
    "pruned": (("pruned", {"share": 0.5}),),
    "signs": (("signs flipped", {}),),
    "rescaled": (("rescaled", {}),),
    "units": UNITS,
    "heads": HEADS,
    "channels": CHANNELS,
    "tokens": (("tokens renumbered", {}),),
    "extended": (("vocabulary extended", {}),),
    "dropped": (("layers chosen", {"layers": [0, 2]}),),
    "reordered": (("layers chosen", {"layers": [2, 0, 1]}),),
    "repeated": (("layers chosen", {"layers": [0, 1, 1, 2]}),),
    "units-channels": (*UNITS, *CHANNELS, *RENAMED),
    "units-heads-noise": (*UNITS, *HEADS, ("noise", {"sigma": "1/10", "relative": True})),
}
"""For every family."""
LLAMA: dict[str, Chain] = {
    "int8": (("quantised", {"kind": "int8"}),),
    "int4": (("quantised", {"kind": "int4"}),),
    "nf4": (("quantised", {"kind": "nf4"}),),
    "q8_0": (("GGUF", {"kind": "Q8_0"}),),
    "q4_0": (("GGUF", {"kind": "Q4_0"}),),
    "narrow": (("width pruned", {}),),
    "upcycled": (("upcycled", {}),),
    "upcycled-noise": (("upcycled", {"sigma": 0.1}),),
    "folded": (("gains folded", {}),),
    "rotated": (("rotated", {}),),
    "values": (("values mixed", {}),),
    "planes": (("planes turned", {}),),
    "disguised": (*DISGUISE, ("signs flipped", {})),
    "disguised-noise-int8": (
        *DISGUISE, ("noise", {"sigma": "1/10", "relative": True}), ("quantised", {"kind": "int8"}),
    ),
    "laundered": (*DISGUISE, ("signs flipped", {}), ("values mixed", {}), ("planes turned", {}), *RENAMED),
    "dropped-units-bf16": (("layers chosen", {"layers": [0, 2]}), *UNITS, ("cast", {"dtype": "bfloat16"})),
    "narrow-channels": (("width pruned", {}), *CHANNELS, *RENAMED),
    "pruned-rotated": (("pruned", {}), *DISGUISE),
}  # fmt: skip
"""For Llama-like models."""
TOWER = r"^vision_tower\."
"""Tensors that models with one vision tower have in common."""


def derived(seeds: int = SEEDS, small: bool = False) -> tuple[Recipe, ...]:
    """What is derived from the releases of ``plan_trained.trained`` with the same arguments."""
    return tuple(_numbered(seeds, small))


def _numbered(seeds: int, small: bool) -> Iterator[Recipe]:
    from dataclasses import replace

    number = count(1000)
    for recipe in _recipes(seeds, small):
        yield replace(recipe, seed=next(number))


def _recipes(seeds: int, small: bool) -> Iterator[Recipe]:
    llamas = [seed_name(n) for n in range(1 if small else min(seeds, 8))]
    for name in llamas:
        for key, chain in {**SIMPLE, **LLAMA}.items():
            yield _from(f"{name}+{key}", key, [name], _fit(chain, small))
    for name in ("gpt2-0", "bert-0"):
        for key, chain in SIMPLE.items():
            yield _from(f"{name}+{key}", key, [name], _fit(chain, small))
    for n in range(0, min(seeds, 3 if small else 12) - 1, 2):
        a, b = seed_name(n), seed_name(n + 1)
        shown = (Parent(a), Parent(b, "shown"))
        yield Recipe(f"{a}+framed-{b}", "framed", 0, parents=shown, steps=(Step("framed"),))
        yield Recipe(f"{a}+planted-{b}", "planted", 0, parents=shown, steps=(Step("planted"),))
    most, few = (1, 15) if small else (min(seeds, 6), 40)
    yield from _trained(most, few, small)
    for name in llamas[: min(most, 4)]:
        yield from _kin(name, few)
    for name in llamas[3:most]:
        yield from _generations(name, few)


def _trained(most: int, few: int, small: bool) -> Iterator[Recipe]:
    full = 60 if small else 150
    for n in range(most):
        name = seed_name(n)
        yield _from(f"{name}+tuned", "fine-tuned", [name], _tuned(few, data="other"))
        yield _from(f"{name}+lora", "LoRA", [name], (("LoRA", {"steps": few}),))
        yield _from(
            f"{name}+tuned-disguised", "fine-tuned, disguised", [f"{name}+tuned"], (*DISGUISE, *RENAMED)
        )
        siblings = {
            "a": _tuned(few, order=11), "b": _tuned(few, order=12), "fast": _tuned(few, order=12, rate=2e-3),
            "other": _tuned(few, order=13, data="other"),
        }  # fmt: skip
        for key, chain in siblings.items() if n < 3 else ():
            yield _from(f"{name}+sibling-{key}", "sibling", [name], chain)
        if n < 3:
            pair = [f"{name}+sibling-{k}" for k in ("a", "other")]
            yield _from(f"{name}+merge-2", "merge", pair, (("merged", {"shares": [0.6, 0.4]}),))
            three: Chain = (("merged", {"shares": [0.5, 0.3, 0.2]}),)
            yield _from(f"{name}+merge-3", "merge", [*pair, f"{name}+tuned"], three)
            yield from _generations(name, few)
    for times, parents in ((1, 4), (4, 2), (16, 1)):
        for n in range(min(parents, most)):
            if not small or times == 1:
                chain = (("trained", {"steps": full * times, "rate": 3e-3, "order": 30 + times}),)
                yield _from(f"{seed_name(n)}+continued-{times}", f"continued {times}x", [seed_name(n)], chain)


def _tuned(steps: int, **more: Json) -> Chain:
    return (("trained", {"steps": steps, "rate": 1e-3, **more}),)


def _generations(name: str, few: int) -> Iterator[Recipe]:
    """The second and third, of which "tuned" is the first."""
    for key, parent, data in (("2", "tuned", "other"), ("3", "generation-2", "main")):
        chain = _tuned(few, data=data, order=20 + int(key))
        yield _from(f"{name}+generation-{key}", "generation", [f"{name}+{parent}"], chain)


def _kin(name: str, few: int) -> Iterator[Recipe]:
    """Adapters trained on the base as published in bfloat16, merged and stored in two types; and one encoder,
    trained further by each, beside the base and beside two models made from it."""
    for key, dtype, order in (("b", "bfloat16", 2), ("c", "float16", 3)):
        chain: Chain = (("LoRA", {"steps": few, "order": order}), ("cast", {"dtype": dtype}))
        yield _from(f"{name}+lora-{key}", "LoRA on bf16", [f"{name}+bf16"], chain)
    for key, own in (("", name), ("-tuned", f"{name}+tuned"), ("-lora", f"{name}+lora")):
        parents = (Parent(own), Parent("bert-0", "part", TOWER))
        yield Recipe(f"{name}+tower{key}", "tower", 0, parents=parents, steps=(Step("tower added"),))
        tuned = (Step("tower added", {"steps": few}),)
        yield Recipe(f"{name}+tower-trained{key}", "tower, trained", 0, parents=parents, steps=tuned)


def _fit(chain: Chain, small: bool) -> Chain:
    """Small models have two layers."""
    layers = {(0, 2): [1], (2, 0, 1): [1, 0], (0, 1, 1, 2): [0, 1, 1]}
    if not small:
        return chain
    return tuple(
        (name, {**p, "layers": layers[tuple(p["layers"])]} if "layers" in p else p)  # type: ignore[arg-type]
        for name, p in chain
    )


def _from(name: str, group: str, parents: list[str], chain: Chain) -> Recipe:
    return Recipe(
        name, group, 0, parents=tuple(Parent(p) for p in parents), steps=tuple(Step(*s) for s in chain)
    )
