"""Call a reader in a process that can do no harm: limited, confined, killed when it takes too long.

``Worker`` is one such process, started at its first call and kept. A reader that crashes, hangs or takes
too much memory costs its worker, never the program: the call raises a :class:`Refusal` and the next call
starts a new worker. A request whose worker died is tried once more (the machine may have been short of
memory); one that ran out of time is not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apograph.findings import Message, Refusal
from apograph.release.confine import MEMORY
from apograph.release.worker import LARGEST_FRAME, TARGET, frame, pack, unpack

SECONDS = 30.0
"""How long a call may take, unless it says otherwise."""
_START = "import sys; sys.path.insert(0, sys.argv[1]); from apograph.release.worker import main; main()"
_STARTING_SECONDS = 60.0


class _Died(Exception):  # noqa: N818 - a state, handled here
    """The worker ended before it answered."""


class Worker:
    """A confined process that may read below ``roots`` only (where the kernel can enforce it)."""

    def __init__(self, roots: Iterable[str] = (), *, git: bool = False, memory: int = MEMORY) -> None:
        """``git``: load pygit2 before the process is confined; its import reads files elsewhere."""
        self._roots = list(roots)
        self._git = git
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self.holds: dict[str, bool] = {}
        """What confines the worker, known after the first call (see ``confine``)."""

    def call(self, target: str, *arguments: Any, seconds: float = SECONDS) -> Any:
        """The value of ``target(*arguments)``, computed in the worker.

        ``target`` is ``"apograph.release.module:function"``; arguments and value are plain JSON or bytes.
        Raises the function's own Refusal; Refusal 2 when the worker crashed; Refusal 5 when ``seconds``
        (wall clock) or the memory did not suffice.
        """
        if not TARGET.fullmatch(target):
            raise ValueError(f"{target} is not a function of apograph.release")
        request = frame({"target": target, "arguments": [pack(a) for a in arguments], "seconds": seconds})
        with self._lock:
            try:
                return self._ask(request, seconds)
            except _Died:
                try:
                    return self._ask(request, seconds)
                except _Died as died:
                    raise _refusal_of_death(died.args[0]) from None

    def close(self) -> None:
        """End the process. A later call starts a new one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                _killed(process)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        """Its exit status: the one it died of, where it did."""
        try:
            status = process.wait(1.0)
        except subprocess.TimeoutExpired:
            status = 0
        self.close()
        return status

    def _ask(self, request: bytes, seconds: float) -> Any:
        if self._process is None:
            self._start()
        answer = self._exchange(request, seconds)
        try:
            refusal = answer.get("refusal")
            if refusal is None:
                return unpack(answer["ok"])
            raised = Refusal(
                refusal["code"],
                Message(refusal["key"], refusal["params"]),
                refusal["path"],
                refusal["offset"],
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            self.close()
            raise _Died(0) from None
        if raised.message.key == "release.worker.memory":
            self.close()  # it ends by itself
        raise raised

    def _start(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        environment = {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        if "APOGRAPH_DEBUG" in os.environ:
            environment["APOGRAPH_DEBUG"] = "1"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=environment,
            start_new_session=True,  # Ctrl-C ends the program, and the program ends its workers
        )
        # At the latest when the program ends. Python keeps the process and its pipes when nobody has the
        # worker: it would wait for ever.
        weakref.finalize(self, _killed, self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)
        hello = frame({"roots": self._roots, "git": self._git, "memory": self._memory})
        self.holds = unpack(self._exchange(hello, _STARTING_SECONDS)["ok"])

    def _exchange(self, data: bytes, seconds: float) -> dict[str, Any]:
        """Send a frame and await one, within ``seconds``."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + seconds
        try:
            _write(process.stdin.fileno(), data, until)
            length = int.from_bytes(_read(process.stdout.fileno(), 8, until), "little")
            if length > LARGEST_FRAME:
                raise _Died(0)
            answer = json.loads(_read(process.stdout.fileno(), length, until))
        except TimeoutError:
            self.close()
            raise Refusal(5, Message("release.worker.time", {"seconds": seconds})) from None
        except (OSError, EOFError, ValueError, RecursionError):
            raise _Died(self._end(process)) from None
        except BaseException:
            self.close()  # Ctrl-C between a request and its answer: the pipe is out of step
            raise
        if not isinstance(answer, dict):
            raise _Died(0)
        return answer


def _write(fd: int, data: bytes, until: float) -> None:
    view = memoryview(data)
    while view:
        _await(fd, select.POLLOUT, until)
        view = view[os.write(fd, view[: 1 << 20]) :]


def _read(fd: int, length: int, until: float) -> bytearray:
    data = bytearray()
    while len(data) < length:
        _await(fd, select.POLLIN, until)
        part = os.read(fd, min(length - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return data


def _await(fd: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
        raise TimeoutError


def _refusal_of_death(status: int) -> Refusal:
    if -status == signal.SIGXCPU:
        return Refusal(5, Message("release.worker.processor"))
    if -status == signal.SIGKILL:
        return Refusal(5, Message("release.worker.killed"))
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    return Refusal(2, Message("release.worker.died", {"how": name}))


_common: list[Worker] = []


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def call(target: str, *arguments: Any, seconds: float = SECONDS) -> Any:
    """``Worker.call`` in a worker shared by the whole program that may read no file but the program's own."""
    if not _common:
        _common.append(Worker())
    return _common[0].call(target, *arguments, seconds=seconds)
