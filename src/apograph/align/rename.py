"""A checkpoint under another's tensor names: which of its tensors, or rows of them, take which name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from apograph.align.names import renaming
from apograph.align.tensors import Match, Part, match_tensors
from apograph.findings import Refusal
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release, Tensors


@dataclass(frozen=True, slots=True)
class NewNames:
    """``sources``: for every new name the rows of the candidate that it gets, joined in order: a whole
    tensor, a part of a fused one, or several that the reference stores as one. ``basis``: what paired them.
    ``kept``: tensors without counterpart, under their own names; ``absent``: names of the reference that
    nothing answers; ``shapes``: pairs whose shapes differ; ``cut``: names whose source is no whole tensor."""

    sources: Mapping[str, tuple[Part, ...]]
    basis: Literal["names", "content"]
    renamed: int
    kept: tuple[str, ...]
    absent: tuple[str, ...]
    shapes: int
    cut: int

    @property
    def names(self) -> dict[str, str]:
        """The candidate's name to the new one, for tensors that stay whole."""
        return {parts[0].name: new for new, parts in self.sources.items() if _whole(parts)}


def _whole(parts: tuple[Part, ...]) -> bool:
    return len(parts) == 1 and parts[0] == Part(parts[0].name)


def new_names(reference: Release, candidate: Tensors, store: TensorStore) -> NewNames:
    """Names of the reference for the tensors of ``candidate``, whose elements ``store`` has.

    The names' own structure pairs them as long as it does so without doubt: a candidate whose layers were put
    into another order stays the model that it is. Where structure leaves doubt and the reference's weights
    are at hand, content decides; then what was fused is cut and what was split is joined.
    ``reference.tensors`` may come from an index alone.
    """
    theirs = reference.tensors
    assert theirs is not None
    found = renaming(theirs, candidate)
    pairs: dict[str, tuple[Part, ...]] = {a: (Part(b),) for a, b in found.pairs}
    basis: Literal["names", "content"] = "names"
    if found.uncertain or not found.complete:
        by_content = _by_content(reference, store)
        if len(by_content) >= len(pairs):
            pairs, basis = by_content, "content"
    used = {part.name for parts in pairs.values() for part in parts}
    owner = {parts[0].name: new for new, parts in pairs.items() if _whole(parts)}
    sources: dict[str, tuple[Part, ...]] = {}
    kept = []
    for entry in candidate.entries:
        own = entry.name
        if entry.name in owner:
            sources[owner[entry.name]] = (Part(entry.name),)
        elif entry.name not in used:
            while own in pairs or own in sources:
                own = f"unmatched.{own}"
            sources[own] = (Part(entry.name),)
            kept.append(entry.name)
    sources |= {new: parts for new, parts in pairs.items() if not _whole(parts)}
    shapes = {entry.name: entry.shape for entry in theirs.entries}
    own_shapes = {entry.name: entry.shape for entry in candidate.entries}
    return NewNames(
        sources,
        basis,
        sum(parts != (Part(new),) for new, parts in sources.items()),
        tuple(kept),
        tuple(name for name in shapes if name not in pairs),
        sum(shapes[a] is not None and shapes[a] != own_shapes[b] for b, a in owner.items()),
        sum(not _whole(parts) for parts in sources.values()),
    )


def _by_content(reference: Release, store: TensorStore) -> dict[str, tuple[Part, ...]]:
    """What content pairs, every row at most once; nothing when the reference's weights cannot be read."""
    try:
        other = open_store(reference)
    except Refusal:
        return {}
    try:
        found: dict[str, list[Match]] = defaultdict(list)
        for match in match_tensors(other, store).matches:
            if not match.transposed:
                found[match.reference.name].append(match)
        pairs: dict[str, tuple[Part, ...]] = {}
        used: set[Part] = set()
        for name, matches in found.items():
            parts = _source(matches, (other.infos[name].shape or (1,))[0])
            if parts and not used & {*parts, *(Part(part.name) for part in parts)}:
                pairs[name] = parts
                used |= set(parts)
        return pairs
    finally:
        other.close()


def _source(matches: list[Match], rows: int) -> tuple[Part, ...]:
    """The candidate's rows that make up a tensor of the reference; () when they do not cover it."""
    first = matches[0]
    if first.how == "sliced":  # rows were added or taken away: the tensor stays as it is
        return (Part(first.candidate.name),)
    if first.reference == Part(first.reference.name):
        return (first.candidate,)
    ordered = sorted(matches, key=lambda m: m.reference.start)
    ends = [m.reference.stop or rows for m in ordered]
    covers = [m.reference.start for m in ordered] == [0, *ends[:-1]] and ends[-1] == rows
    return tuple(m.candidate for m in ordered) if covers else ()
