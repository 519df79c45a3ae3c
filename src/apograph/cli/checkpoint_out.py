"""What the commands share that write a checkpoint: its plan, the files beside it, progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.tensors import Part
from apograph.findings import Message, Refusal
from apograph.release.safetensors_writer import Planned, Progress, Read
from apograph.release.tensor_store import TensorStore
from apograph.release.types import Release, Tensors
from apograph.report.words import say

_EVERY = 1 << 24
"""Bytes between two lines of progress."""


@contextmanager
def opened(release: Release) -> Iterator[tuple[Tensors, TensorStore]]:
    """The tensors of a release and their elements. Raises Refusal 3 when there are none, or none of which
    the elements lie in plain files; 2 or 5 when some of them cannot be read."""
    from apograph.release.tensor_store import open_store

    if release.tensors is None:
        fault = next((gap for gap in release.faults if gap.fault), None)
        if fault is not None:
            raise Refusal(fault.code, fault.reason, fault.path)
        raise Refusal(3, Message("write.no_tensors"), release.ref)
    store = open_store(release)
    try:
        for gap in store.unexamined:
            raise Refusal(gap.code, gap.reason, gap.path or release.ref)
        yield release.tensors, store
    finally:
        store.close()


Sources = Mapping[str, tuple[Part, ...]]
"""For every name to be written the rows that it gets, joined in order."""


def planned(store: TensorStore, sources: Sources | None = None) -> list[Planned]:
    """Every tensor as it stands, or ``sources``. Raises Refusal 3 for what safetensors cannot hold as it is
    stored, and for parts of different types or widths that would have to be joined."""
    from apograph.release.safetensors_header import BITS

    plan = []
    for new, parts in (sources or {name: (Part(name),) for name in store.infos}).items():
        first = store.infos[parts[0].name]
        kinds = {(store.dtype(p.name), (store.infos[p.name].shape or ())[1:]) for p in parts}
        dtype = store.dtype(first.name)
        raw = BITS.get(dtype, 1) % 8 == 0 and all(store.raw(p.name, 0, 0) is not None for p in parts)
        if not raw or first.shape is None or len(kinds) > 1:
            raise Refusal(3, Message("write.packed", {"name": first.name, "dtype": dtype}), first.file)
        rows = sum(_rows(store, part)[1] - _rows(store, part)[0] for part in parts)
        plan.append(Planned(new, dtype, (rows, *first.shape[1:]) if first.shape else (), new))
    return plan


def _rows(store: TensorStore, part: Part) -> tuple[int, int]:
    shape = store.infos[part.name].shape or (1,)
    return part.start, shape[0] if part.stop is None else part.stop


def stored(store: TensorStore, sources: Sources) -> Read:
    """Every element as it is stored."""

    def read(tensor: Planned, start: int, stop: int) -> NDArray[Any]:
        pieces, at = [], 0
        width = prod(tensor.shape[1:])
        for part in sources[tensor.name]:
            first, last = (row * width for row in _rows(store, part))
            low, high = max(start - at, 0), min(stop - at, last - first)
            if low < high:
                raw = store.raw(part.name, first + low, first + high)
                assert raw is not None  # ``planned`` took only such tensors
                pieces.append(raw)
            at += last - first
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    return read


def beside(release: Release) -> dict[str, bytes]:
    """The configuration and tokenizer files of the folder in which the main configuration lies, by name."""
    from apograph.release.tokenizer_files import NAMES

    main = next((path for path, value in release.configs.items() if value == release.config), "")
    folder = main.rpartition("/")[0]
    paths = [path for path in release.configs if path.rpartition("/")[0] == folder]
    paths += [f.path for f in release.files if f.name in NAMES and f.path.rpartition("/")[0] == folder]
    found = {path.rpartition("/")[2]: release.read(path, 64 << 20) for path in paths}
    return {name: data for name, data in found.items() if data is not None}


def job(arguments: Iterable[object], release: Release, tensors: Tensors) -> str:
    """What is done, and with which state of which files, as text: equal only for the same work."""
    spec = getattr(release, "spec", {})
    files = sorted({entry.file for entry in tensors.entries})
    states = [os.stat(os.path.join(str(spec.get("path", "")), path)) for path in files]
    sources = [(path, s.st_size, s.st_mtime_ns, s.st_ino) for path, s in zip(files, states, strict=True)]
    return repr((*map(str, arguments), release.digest, sources))


@contextmanager
def shown(quiet: bool) -> Iterator[Progress | None]:
    """Bytes done of all bytes, rate and time left, on one line of standard error; None where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    told = 0

    def tell(done: int, all_: int, seconds: float) -> None:
        nonlocal told
        if done - told < _EVERY and done < all_:
            return
        told = done
        rate = done / max(seconds, 1e-3)
        left = (all_ - done) / max(rate, 1.0)
        line = say("cli.progress.bytes", done=done / 1e9, all=all_ / 1e9, rate=rate / 1e6, left=left)
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
