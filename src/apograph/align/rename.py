"""A checkpoint under another's tensor names: which of its tensors takes which name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from apograph.align.names import renaming
from apograph.align.tensors import match_tensors
from apograph.findings import Refusal
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release, Tensors


@dataclass(frozen=True, slots=True)
class NewNames:
    """``names``: the candidate's name to the new one, for all its tensors and in its order. ``basis``: what
    paired them. ``kept``: tensors without counterpart, under their own names; ``absent``: names of the
    reference that nothing answers; ``shapes``: pairs whose shapes differ."""

    names: Mapping[str, str]
    basis: Literal["names", "content"]
    renamed: int
    kept: tuple[str, ...]
    absent: tuple[str, ...]
    shapes: int


def new_names(reference: Release, candidate: Tensors, store: TensorStore) -> NewNames:
    """Names of the reference for the tensors of ``candidate``, whose elements ``store`` has.

    The names' own structure pairs them as long as it does so without doubt: a candidate whose layers were put
    into another order stays the model that it is. Where structure leaves doubt and the reference's weights
    are at hand, content decides. ``reference.tensors`` may come from an index alone.
    """
    theirs = reference.tensors
    assert theirs is not None
    found = renaming(theirs, candidate)
    pairs = {b: a for a, b in found.pairs}
    basis: Literal["names", "content"] = "names"
    if found.uncertain or not found.complete:
        by_content = _by_content(reference, store)
        if len(by_content) >= len(pairs):
            pairs, basis = by_content, "content"
    shapes = {entry.name: entry.shape for entry in theirs.entries}
    taken = set(pairs.values())
    names: dict[str, str] = {}
    for entry in candidate.entries:
        own = entry.name
        while own in taken and entry.name not in pairs:
            own = f"unmatched.{own}"
        names[entry.name] = pairs.get(entry.name, own)
        taken.add(names[entry.name])
    own_shapes = {entry.name: entry.shape for entry in candidate.entries}
    return NewNames(
        names,
        basis,
        sum(old != new for old, new in names.items()),
        tuple(name for name in names if name not in pairs),
        tuple(name for name in shapes if name not in set(pairs.values())),
        sum(shapes[a] is not None and shapes[a] != own_shapes[b] for b, a in pairs.items()),
    )


def _by_content(reference: Release, store: TensorStore) -> dict[str, str]:
    """The candidate's whole tensors by content, one-to-one; nothing when the reference's cannot be read."""
    try:
        other = open_store(reference)
    except Refusal:
        return {}
    try:
        pairs: dict[str, str] = {}
        for match in match_tensors(other, store).matches:
            whole = all(part.start == 0 and part.stop is None for part in (match.reference, match.candidate))
            if match.transposed or match.candidate.name in pairs or match.reference.name in pairs.values():
                continue
            if whole or match.how == "sliced":
                pairs[match.candidate.name] = match.reference.name
        return pairs
    finally:
        other.close()
