"""One streaming read of two checkpoints, shared by everything that looks at their elements.

Blocks of both sides are read and summed by several threads, as they are stored; what else is summed
(``Summing``) is summed by the same threads while the block is in their cache. Folds see blocks decoded, one
after the other and in order. What is found does not depend on the block size, the threads or the container.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from apograph.align.tensors import Match, Part
from apograph.evidence import stream_state
from apograph.evidence.coin_plain import Lines
from apograph.evidence.moments import COLUMNS, SUB, Moments, Rows, Stored, rows_of, values_of
from apograph.evidence.stream_files import FilePair, file_pair
from apograph.findings import Message, Refusal
from apograph.release.safetensors_header import element_count
from apograph.release.tensor_store import TensorStore
from apograph.release.types import TensorInfo

BLOCK = 1 << 21
CHUNK = 1 << 21
"""Elements whose sums are one piece; a whole number of sub-blocks. Blocks are whole chunks."""
TRANSPOSED = 1 << 28
"""Elements of the largest matrix that is turned in memory."""
SAVE_EVERY = 5.0

Progress = Callable[[int, int, float], None]
"""Called with the elements read, all that are to be read (without those that an interrupted pass left), and
the seconds since the start."""


class Sums(Protocol):
    """Sums over one match, made of pieces of ``CHUNK`` elements from ``start``, counted from its first."""

    total: NDArray[np.float64]

    @property
    def label(self) -> str:
        """What is summed: saved sums with another label are not used."""

    @property
    def lines(self) -> Lines | None:
        """Of which lines the pieces are ``coin_plain.products``, where they are: files are summed in one."""

    def piece(self, start: int, a: Stored, b: Stored) -> NDArray[np.float64]:
        """The sums of one chunk. Called by any thread, in any order."""

    def add(self, start: int, piece: NDArray[np.float64]) -> None:
        """Add a piece to ``total``. Called by one thread at a time, with ``start`` rising."""


@runtime_checkable
class Summing(Protocol):
    """What only sums the elements of the matches: it costs no second look and survives an interruption."""

    def sums(self, match: Match, info_a: TensorInfo, info_b: TensorInfo) -> Sums | None:
        """The sums of a match; None when it is of no interest."""


@runtime_checkable
class Fold(Protocol):
    """What looks at every element of the matches. Blocks come in the order of the matches and rising."""

    def begin(self, match: Match, info_a: TensorInfo, info_b: TensorInfo) -> None:
        """A match whose first block comes next."""

    def see(self, match: Match, start: int, a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
        """Flat elements from ``start``, counted from the first of the match. float64 where stored so."""

    def finish(self) -> Any:
        """What was found, when all was seen. Called by whoever made the fold."""


@dataclass(slots=True)
class _Task:
    """A match under way: its rows so far, the blocks still missing, a matrix turned over."""

    number: int
    match: Match
    n: int
    missing: int
    rows: Rows
    sums: list[Sums | None]
    files: FilePair | None
    turned: NDArray[Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    pieces: dict[int, list[NDArray[np.float64] | None]] = field(default_factory=dict)
    """Those whose turn to be added has not come, by their chunk."""
    added: int = 0

    def sum(self, start: int, a: Stored, b: Stored) -> None:
        """Sum a block, chunk by chunk."""
        for at in range(0, len(a), CHUNK):
            x, y = a[at : at + CHUNK], b[at : at + CHUNK]
            pieces = [None if s is None else s.piece(start + at, x, y) for s in self.sums]
            self.take(start + at, rows_of(x, y), pieces)

    def read(self, start: int, stop: int, buffers: list[NDArray[np.uint8]]) -> int:
        """Read and sum a block in one, as far as that can be done; where the rest begins."""
        own = [s.lines for s in self.sums if s is not None]
        if self.files is None or len(own) > 1 or None in own:
            return start
        for at in range(start, stop, CHUNK):
            found = self.files.summed(at, min(at + CHUNK, stop), own[0] if own else None, buffers)
            if found is None:
                return at
            self.take(at, found[0], [None if s is None else found[1] for s in self.sums])
        return stop

    def take(self, start: int, rows: Rows, pieces: list[NDArray[np.float64] | None]) -> None:
        """Take what was summed over a chunk, and add the pieces whose turn it is."""
        self.rows[start // SUB : start // SUB + len(rows)] = rows
        with self.lock:
            self.pieces[start // CHUNK] = pieces
            while (ready := self.pieces.pop(self.added, None)) is not None:
                for sums, piece in zip(self.sums, ready, strict=True):
                    if sums is not None and piece is not None:
                        sums.add(self.added * CHUNK, piece)
                self.added += 1


def stream(
    matches: Sequence[Match],
    reference: TensorStore,
    candidate: TensorStore,
    folds: Sequence[Fold | Summing] = (),
    *,
    block: int = BLOCK,
    threads: int = 2,
    progress: Progress | None = None,
    state: str | None = None,
) -> tuple[Moments, ...]:
    """The moments of every match, from one pass over all its elements that the folds share.

    ``block`` is rounded up to whole chunks. With ``state``, a file, finished matches are kept there every few
    seconds and when the pass is interrupted, and are not read again; with a ``Fold`` they are, since it must
    see everything. The file stays for whoever named it to remove.
    Raises Refusal as the stores do; ValueError when the parts' sizes differ.
    """
    run = _Run(matches, reference, candidate, folds, -(-block // CHUNK) * CHUNK, progress, state)
    workers = [threading.Thread(target=run.work, daemon=True) for _ in range(max(threads, 1))]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except BaseException:
        run.stop(None)
        for worker in workers:
            worker.join()
        run.save()
        raise
    if run.error is not None:
        run.save()
        raise run.error
    reference.check()
    candidate.check()
    if state is not None and os.path.exists(state):
        run.save()
    return tuple(run.done[n] for n in range(len(matches)))


class _Run:
    def __init__(
        self,
        matches: Sequence[Match],
        reference: TensorStore,
        candidate: TensorStore,
        folds: Sequence[Fold | Summing],
        block: int,
        progress: Progress | None,
        state: str | None,
    ) -> None:
        self._matches, self._stores, self._block = matches, (reference, candidate), block
        self._folds = [f for f in folds if isinstance(f, Fold)]
        self._progress = progress
        self._sizes = [match_size(m, reference, candidate) for m in matches]
        self._sums = [[f.sums(m, *self._infos(m)) for f in folds if isinstance(f, Summing)] for m in matches]
        self._state = None if state is None else stream_state.State(state, matches, self._stores)
        self.done: dict[int, Moments] = {}
        if self._state is not None and not self._folds:
            self.done = self._state.load(self._sums)
        self._total, self._seen = sum(s for n, s in enumerate(self._sizes) if n not in self.done), 0
        self._started = self._saved = time.monotonic()
        self._items = self._plan()
        self._lock, self._turn, self._next = threading.Lock(), threading.Condition(), 0
        self._stopped = False
        self.error: BaseException | None = None

    def _infos(self, match: Match) -> tuple[TensorInfo, TensorInfo]:
        names = match.reference.name, match.candidate.name
        return self._stores[0].infos[names[0]], self._stores[1].infos[names[1]]

    def _plan(self) -> Iterator[tuple[int, _Task, int, int]]:
        """Every block of every match that is not done, numbered in order."""
        item = 0
        for number, (match, n) in enumerate(zip(self._matches, self._sizes, strict=True)):
            if number in self.done:
                continue
            rows = np.empty((-(-n // SUB), COLUMNS))
            firsts = [
                part_range(s, p)[0]
                for s, p in zip(self._stores, (match.reference, match.candidate), strict=True)
            ]
            files = file_pair(match, self._stores, (firsts[0], firsts[1]))
            task = _Task(number, match, n, max(-(-n // self._block), 1), rows, self._sums[number], files)
            for start in range(0, max(n, 1), self._block):
                yield item, task, start, min(start + self._block, n)
                item += 1

    def work(self) -> None:
        """One thread: take the next block until none is left."""
        buffers = [np.empty(0, np.uint8), np.empty(0, np.uint8)]
        try:
            while True:
                with self._lock:
                    taken = None if self._stopped else next(self._items, None)
                if taken is None:
                    return
                self._block_of(*taken, buffers)
        except BaseException as error:
            self.stop(error)

    def stop(self, error: BaseException | None) -> None:
        """End all threads after their present block."""
        with self._turn:
            self._stopped = True
            self.error = self.error or error
            self._turn.notify_all()

    def _block_of(
        self, item: int, task: _Task, start: int, stop: int, buffers: list[NDArray[np.uint8]]
    ) -> None:
        first = start if self._folds else task.read(start, stop, buffers)
        if self._folds or first < stop:
            a, b = self._stored(task, first, stop, buffers)
            task.sum(first, a, b)
            if self._folds:
                self._show(item, task.match, start, values_of(a), values_of(b))
        with self._lock:
            task.missing -= 1
            if not task.missing:
                self.done[task.number] = Moments.of(task.n, task.rows)
                task.rows, task.turned = np.empty((0, COLUMNS)), None
            self._seen += stop - start
            if self._progress is not None:
                self._progress(self._seen, self._total, time.monotonic() - self._started)
            if self._state is not None and time.monotonic() - self._saved > SAVE_EVERY:
                self.save()

    def _stored(
        self, task: _Task, start: int, stop: int, buffers: list[NDArray[np.uint8]]
    ) -> tuple[Stored, Stored]:
        match = task.match
        a = stored(self._stores[0], match.reference, start, stop, buffers, 0)
        if match.transposed:
            return a, self._turned(task)[start:stop]
        return a, stored(self._stores[1], match.candidate, start, stop, buffers, 1)

    def _show(self, item: int, match: Match, start: int, a: NDArray[Any], b: NDArray[Any]) -> None:
        """Let the folds see a block when its turn has come."""
        with self._turn:
            self._turn.wait_for(lambda: self._next == item or self._stopped)
            if self._stopped:
                return
            for fold in self._folds:
                if start == 0:
                    fold.begin(match, *self._infos(match))
                fold.see(match, start, a, b)
            self._next += 1
            self._turn.notify_all()

    def _turned(self, task: _Task) -> NDArray[Any]:
        with task.lock:
            if task.turned is None:
                store, name = self._stores[1], task.match.candidate.name
                shape = store.infos[name].shape or ()
                task.turned = store.block(name, 0, task.n).reshape(shape).T.reshape(-1)
            return task.turned

    def save(self) -> None:
        """Keep what is finished."""
        if self._state is not None:
            self._state.save(self.done, self._sums)
            self._saved = time.monotonic()


def part_range(store: TensorStore, part: Part) -> tuple[int, int]:
    """The flat elements [first, last) of a part."""
    shape = store.infos[part.name].shape or ()
    row = element_count(shape[1:]) or 0
    rows = shape[0] if shape else 1
    stop = rows if part.stop is None else part.stop
    if not 0 <= part.start <= stop <= rows:
        raise ValueError(f"rows {part.start} to {stop} of {part.name}")
    return part.start * row, stop * row


def match_size(match: Match, reference: TensorStore, candidate: TensorStore) -> int:
    """Elements on either side. Raises ValueError where the sides differ, Refusal 5 for too large a turn."""
    sides = [part_range(reference, match.reference), part_range(candidate, match.candidate)]
    sizes = [last - first for first, last in sides]
    if sizes[0] != sizes[1]:
        raise ValueError(f"{match.reference.name}: {sizes[0]} elements against {sizes[1]}")
    if match.transposed and sizes[0] > TRANSPOSED:
        raise Refusal(5, Message("weights.turn", {"name": match.candidate.name, "n": sizes[0]}))
    return sizes[0]


def stored(
    store: TensorStore,
    part: Part,
    start: int,
    stop: int,
    buffers: list[NDArray[np.uint8]] | None = None,
    side: int = 0,
) -> Stored:
    """Elements [start, stop) of a part as ``rows_of`` takes them; valid until ``buffers`` are used again."""
    first, _ = part_range(store, part)
    dtype = store.dtype(part.name)
    width = {"BF16": 2, "F32": 4}.get(dtype)
    if width is not None:
        if buffers is not None and len(buffers[side]) < width * (stop - start):
            buffers[side] = np.empty(width * (stop - start), np.uint8)
        out = None if buffers is None else buffers[side]
        raw = store.raw(part.name, first + start, first + stop, out)
        if raw is not None:
            return raw
    values: Stored = store.block(part.name, first + start, first + stop)
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
