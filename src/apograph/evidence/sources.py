"""The weights of the bases and claimed sources of a case, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from apograph.evidence.registry import Case
from apograph.findings import Refusal
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release


def opened_sources(case: Case) -> Iterator[tuple[Release, TensorStore]]:
    """Every base and claimed source whose weights can be read; its store is closed when the next is asked
    for."""
    sources: tuple[Release, ...] = (*case.bases, *case.claimed)
    for source in sources:
        try:
            store = open_store(source)
        except Refusal:
            continue
        with closing(store):
            yield source, store
