"""LoRA adapters (Hu et al., arXiv 2106.09685) published without their base: what they were put on."""

from __future__ import annotations

from collections.abc import Iterator

from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.sides import sides
from apograph.findings import SIDES, Bearing, Finding, Message, Strength, Unexamined


@examiner("weights", needs=Part.TENSORS)
def adapters(case: Case) -> Iterator[Finding | Unexamined]:
    """Says of each side that is an adapter with which base it was compared, or that none was given."""
    for side, own in zip(SIDES, sides(case), strict=True):
        count = len(own.adapted)
        if own.base is not None:
            yield Finding(
                id=f"weights.adapter:{side}",
                channel="weights",
                message=Message("weights.adapter.found", {"side": side, "n": count, "base": own.base.ref}),
                bearing=Bearing.CONTEXT,
                strength=Strength("none"),
                limits=(Message("weights.adapter.limit"),),
            )
        elif count:
            yield Unexamined("weights", Message("weights.adapter.no_base", {"n": count}), side)
