"""What an interrupted pass over two checkpoints keeps, so that it goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple

from apograph.align.tensors import Match
from apograph.evidence.moments import Moments
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore

_PLACES, _RUN = 8, 64


def key(matches: Sequence[Match], reference: TensorStore, candidate: TensorStore) -> str:
    """SHA-256 over the matches, both sides' headers and some elements of every tensor: another checkpoint of
    the same architecture has another key. A few elements changed elsewhere are not seen."""
    digest = hashlib.sha256(repr(tuple(matches)).encode())
    for store in (reference, candidate):
        for name, info in store.infos.items():
            digest.update(repr(info).encode())
            n = element_count(info.shape or ()) or 0
            if any(gap.reason.params.get("name") == name for gap in store.unexamined):
                continue
            for place in range(_PLACES):
                start = place * n // _PLACES
                digest.update(store.block(name, start, min(start + _RUN, n)).tobytes())
    return digest.hexdigest()


def save(path: str, state: str, done: Mapping[int, Moments]) -> None:
    """Write the finished matches, whole or not at all."""
    text = json.dumps({"key": state, "done": {str(n): list(astuple(m)) for n, m in done.items()}})
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.part", path)


def load(path: str, state: str) -> dict[int, Moments]:
    """The finished matches; none when there is no such file, or one of another pair."""
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        if kept["key"] != state:
            return {}
        return {int(n): Moments(*values) for n, values in kept["done"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}
