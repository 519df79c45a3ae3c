"""Does a checkpoint fit the code that should load it? Names, shapes and numbers of layers, side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apograph.release.types import Tensors

BUFFERS = re.compile(
    r"(^|\.)(inv_freq|original_inv_freq|position_ids|masked_bias|num_batches_tracked|attn\.bias)$"
)
"""Buffers that versions of PyTorch and of transformers store or leave out; they decide nothing."""
PREFIXES = ("", "model.", "transformer.", "base_model.")
"""A base model loads into the class with a head, and the other way round (base_model_prefix)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """``named``: stored tensors that the code names; ``covered``: stored below a module that could not be
    read completely; ``absent``: named by the code, not stored; ``extra``: stored, not named. ``shapes``:
    (name, code's shape, stored shape) where both are known and differ; ``lists``: (prefix, layers in code,
    layers stored) where these differ. ``parameters``: their number by the code's shapes, None when some are
    unknown. ``stored``: number of stored tensors."""

    stored: int
    named: int
    covered: int
    absent: tuple[str, ...]
    extra: tuple[str, ...]
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    lists: tuple[tuple[str, int, int], ...]
    parameters: int | None

    @property
    def fits(self) -> bool:
        """Nothing is missing, left over or of another shape."""
        return not (self.absent or self.extra or self.shapes)


def fit(model: Mapping[str, Any], tensors: Tensors, rename: Callable[[str], str] = lambda name: name) -> Fit:
    """Compare ``model`` (``release.static_model``: tensors, opens, lists) with a checkpoint, whose names are
    first put through ``rename``. Of the usual base prefixes the one that fits best is allowed for."""
    shapes = {rename(e.name): e.shape for e in tensors.entries}
    best = _compare(model, shapes)
    for prefix in PREFIXES[1:]:
        if best.fits:
            break
        longer = {f"{prefix}{name}": shape for name, shape in shapes.items()}
        shorter = {name.removeprefix(prefix): shape for name, shape in shapes.items()}
        for variant in (longer, shorter):
            other = _compare(model, variant)
            if len(variant) == len(shapes) and (other.named, -len(other.extra)) > (
                best.named,
                -len(best.extra),
            ):
                best = other
    return best


def _compare(model: Mapping[str, Any], stored: Mapping[str, tuple[int, ...] | None]) -> Fit:
    named = {name: (None if s is None else tuple(s), optional) for name, s, optional in model["tensors"]}
    opens = tuple(prefix for prefix, _ in model["opens"])
    wholly_open = "" in opens
    covered, extra = 0, []
    shapes = []
    for name, shape in stored.items():
        if name in named:
            expected = named[name][0]
            if expected is not None and shape is not None and expected != shape:
                shapes.append((name, expected, shape))
        elif wholly_open or f"{name}.".startswith(opens) if opens else False:
            covered += 1
        elif not BUFFERS.search(name):
            extra.append(name)
    absent = [
        n for n, (_, optional) in named.items() if not optional and n not in stored and not BUFFERS.search(n)
    ]
    counts = numbered(stored)
    lists = [
        (prefix, length, counts[prefix])
        for prefix, length in model["lists"].items()
        if prefix in counts and counts[prefix] != length
    ]
    known = all(shape is not None for shape, _ in named.values()) and not wholly_open
    return Fit(
        stored=len(stored),
        named=sum(name in named for name in stored),
        covered=covered,
        absent=tuple(absent),
        extra=tuple(extra),
        shapes=tuple(shapes),
        lists=tuple(lists),
        parameters=sum(math.prod(s) for s, _ in named.values() if s is not None) if named and known else None,
    )


def numbered(names: Mapping[str, Any]) -> dict[str, int]:
    """Numbered lists of modules among tensor names: prefix (``vpm.encoder.layers.``) to how many different
    numbers stand there."""
    found: dict[str, set[int]] = {}
    for name in names:
        for match in re.finditer(r"(?<=\.)(\d{1,6})\.", name):
            found.setdefault(name[: match.start()], set()).add(int(match[1]))
    return {prefix: len(numbers) for prefix, numbers in found.items()}
