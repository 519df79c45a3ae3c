"""One thread that owns the model, and the bounded queue before it.

A request waits in line; when the line is full it is turned away at once (429), so that memory and waiting
time stay bounded. Stopping finishes the present answer, turns the line away (503) and ends the thread; the
server stops the worker only when what it had accepted is done or has had its time.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from apograph.findings import Refusal
from apograph.minicpmv.engine import Engine, Piece
from apograph.minicpmv.generate import Decoding
from apograph.minicpmv.prompt import Message
from apograph.minicpmv.server.request import Bad

Result = tuple[Piece, int] | BaseException
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One request in line. ``messages`` opens its pictures, in the worker's thread."""

    messages: Callable[[], list[Message]]
    decoding: Decoding
    loop: asyncio.AbstractEventLoop
    results: asyncio.Queue[Result] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def put(self, result: Result) -> None:
        """Hand a result to the event loop; quietly when that has ended."""
        try:
            self.loop.call_soon_threadsafe(self.results.put_nowait, result)
        except RuntimeError:
            self.cancelled.set()

    async def pieces(self) -> AsyncIterator[tuple[Piece, int]]:
        """(piece, number of prompt tokens) until the answer ends. Leaving early stops the work."""
        try:
            while True:
                result = await self.results.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
                if result[0].finish is not None:
                    return
        finally:
            self.cancelled.set()


class Worker:
    """Answers jobs one after the other."""

    def __init__(self, engine: Engine, waiting: int) -> None:
        """``waiting``: how many requests may stand in line behind the one that is answered."""
        self._engine = engine
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._limit = waiting + 1
        self._present = 0
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def present(self) -> int:
        """Requests being answered or in line."""
        return self._present

    @property
    def stopping(self) -> bool:
        """Whether new requests are turned away for good."""
        return self._stopping

    def submit(self, job: Job) -> None:
        """Put a job in line. Raises Bad: 503 when stopping, 429 when the line is full."""
        with self._lock:
            if self._stopping:
                raise Bad(503, "stopping", "serve.bad.stopping")
            if self._present >= self._limit:
                raise Bad(429, "queue_full", "serve.bad.full", n=self._present)
            self._present += 1
            self._jobs.put(job)

    def stop(self, seconds: float) -> bool:
        """Finish the present answer, turn away the line, end the thread. False when it took longer."""
        with self._lock:
            self._stopping = True
            self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._stopping:
                    raise Bad(503, "stopping", "serve.bad.stopping")
                self._answer(job)
            except (Bad, Refusal) as refusal:
                job.put(refusal)
            except Exception as error:
                log.exception("a request failed")
                job.put(error)
            finally:
                with self._lock:
                    self._present -= 1

    def _answer(self, job: Job) -> None:
        if job.cancelled.is_set():
            return
        prompt = self._engine.prompt(job.messages(), job.decoding)
        answer = self._engine.stream(prompt, job.decoding)
        try:
            for piece in answer:
                job.put((piece, len(prompt.ids)))
                if job.cancelled.is_set():
                    return
        finally:
            answer.close()  # type: ignore[attr-defined]
