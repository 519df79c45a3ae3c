"""What an interrupted pass over two checkpoints keeps, so that it goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.align.tensors import Match
from apograph.evidence.moments import Moments
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore
from apograph.release.types import Release

if TYPE_CHECKING:
    from apograph.evidence.stream import Sums

KEPT = 30
"""Days for which the state of an interrupted comparison is kept."""
_NAME = re.compile(r"weights-[0-9a-f]{64}")
_PLACES, _RUN = 8, 64


@contextmanager
def kept(folder: object, *releases: Release) -> Iterator[str | None]:
    """The path of the state of a comparison in ``folder`` (None where no folder is given). It changes with
    the releases' digests and with the size or time of a tensor file. The file is removed when all went well.
    """
    try:
        if not isinstance(folder, str):
            raise FileNotFoundError
        os.makedirs(folder, exist_ok=True)
    except OSError:  # no folder was given, or none can be made: then nothing is kept
        yield None
        return
    _prune(folder)
    digest = hashlib.sha256()
    for release in releases:
        digest.update(release.digest.encode())
        root = getattr(release, "spec", {}).get("path", "")
        for path in sorted({e.file for e in release.tensors.entries} if release.tensors else ()):
            with suppress(OSError):
                status = os.stat(os.path.join(root, path))
                digest.update(repr((path, status.st_size, status.st_mtime_ns)).encode())
    state = os.path.join(folder, f"weights-{digest.hexdigest()}")
    yield state
    with suppress(FileNotFoundError):
        os.unlink(state)


def _prune(folder: str) -> None:
    """Remove the states of comparisons that nobody went on with for ``KEPT`` days."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            old = entry.stat(follow_symlinks=False).st_mtime < time.time() - KEPT * 86400
            if old and _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    os.unlink(entry.path)


class State:
    """A file of lines: the key of the pass, then one line for each finished match, only ever added to. A line
    that was cut short is left out when the file is read."""

    def __init__(self, path: str, matches: Sequence[Match], stores: tuple[TensorStore, TensorStore]) -> None:
        self._path, self._matches, self._stores = path, matches, stores
        self._kept: set[int] | None = None

    @cached_property
    def key(self) -> str:
        """SHA-256 over the matches, both sides' headers and some elements of every tensor: another checkpoint
        of the same architecture has another key. A few elements changed elsewhere are not seen."""
        digest = hashlib.sha256(repr(tuple(self._matches)).encode())
        for store in self._stores:
            for name, info in store.infos.items():
                digest.update(repr(info).encode())
                n = element_count(info.shape or ()) or 0
                if any(gap.reason.params.get("name") == name for gap in store.unexamined):
                    continue
                for place in range(_PLACES):
                    start = place * n // _PLACES
                    digest.update(store.block(name, start, min(start + _RUN, n)).tobytes())
        return digest.hexdigest()

    def load(self, sums: Sequence[Sequence[Sums | None]]) -> dict[int, Moments]:
        """The finished matches, whose ``sums`` are filled in; none from another pair's file."""
        found: dict[int, Moments] = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                if json.loads(file.readline()) != {"key": self.key}:
                    return {}
                for line in file:
                    _take(line, sums, found)
        except (FileNotFoundError, ValueError):
            return {}
        self._kept = set(found)
        return found

    def save(self, done: Mapping[int, Moments], sums: Sequence[Sequence[Sums | None]]) -> None:
        """Add the matches finished since the last time, with their sums."""
        with open(self._path, "w" if self._kept is None else "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": self.key}) + "\n" if self._kept is None else "\n")
            self._kept = self._kept or set()
            for n in sorted(done.keys() - self._kept):
                totals = [s and [s.label, b64encode(s.total.tobytes()).decode()] for s in sums[n]]
                file.write(json.dumps({"n": n, "moments": astuple(done[n]), "sums": totals}) + "\n")
                self._kept.add(n)
            file.flush()
            os.fsync(file.fileno())


def _take(line: str, sums: Sequence[Sequence[Sums | None]], found: dict[int, Moments]) -> None:
    """One line, where it is whole and its sums are those that are wanted."""
    try:
        kept: Any = json.loads(line)
        own = sums[kept["n"]]
        moments = Moments(*kept["moments"])
        totals = [t and (t[0], np.frombuffer(b64decode(t[1]))) for t in kept["sums"]]
    except (ValueError, KeyError, TypeError, IndexError):
        return
    if [t and (t[0], t[1].size) for t in totals] == [s and (s.label, s.total.size) for s in own]:
        for to, total in zip(own, totals, strict=True):
            if to is not None:
                to.total[:] = total[1].reshape(to.total.shape)
        found[kept["n"]] = moments
