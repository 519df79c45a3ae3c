"""A reader that crashes, hangs or eats memory costs its worker and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.release.sandbox import Worker


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker([str(tmp_path)])
    yield made
    made.close()


def pid_of(worker: Worker) -> int:
    assert worker._process is not None
    return worker._process.pid


def test_json_and_bytes_come_back(worker: Worker) -> None:
    value = {"a": [1, None, "\udc80", 2.5]}
    assert worker.call("apograph.release.worker:pack", value) == {"json": value}
    assert worker.call("apograph.release.json_text:parse_json", b'{"a": 1}', "x") == {"a": 1}


def test_one_process_serves_many_calls(worker: Worker) -> None:
    worker.call("apograph.release.worker:pack", 1)
    first = pid_of(worker)
    for n in range(50):
        assert worker.call("apograph.release.worker:pack", n) == {"json": n}
    assert pid_of(worker) == first


@pytest.mark.parametrize(
    "target",
    ["os:system", "apograph.findings:Message", "apograph.release.worker:_send", "apograph.release:x"],
)
def test_only_public_functions_of_release_are_called(worker: Worker, target: str) -> None:
    with pytest.raises(ValueError, match="not a function"):
        worker.call(target, "true")


def test_a_name_that_a_module_only_imports_is_refused(worker: Worker) -> None:
    with pytest.raises(Refusal) as refused:
        worker.call("apograph.release.sandbox:pack", 1)
    assert refused.value.message.key == "release.worker.failed"


def test_a_refusal_of_the_reader_arrives_whole(worker: Worker) -> None:
    with pytest.raises(Refusal) as refused:
        worker.call("apograph.release.json_text:parse_json", b'{"a": NaN}', "c.json")
    assert (refused.value.code, refused.value.path) == (2, "c.json")
    assert refused.value.message.key == "readers.json.number"


def test_an_unforeseen_error_is_a_refusal(worker: Worker) -> None:
    with pytest.raises(Refusal) as refused:
        worker.call("apograph.release.json_text:parse_json", 7)
    assert (refused.value.code, refused.value.message.key) == (2, "release.worker.failed")


class _Doomed(Worker):
    """Each of its processes gets a signal as soon as it has started."""

    fate = signal.SIGSTOP

    def _start(self) -> None:
        super()._start()
        os.kill(pid_of(self), self.fate)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGSEGV, 2), (signal.SIGBUS, 2), (signal.SIGKILL, 5), (signal.SIGXCPU, 5)]
)
def test_a_worker_that_dies_twice_is_a_refusal(number: int, code: int) -> None:
    worker = _Doomed()
    worker.fate = signal.Signals(number)
    with pytest.raises(Refusal) as refused:
        worker.call("apograph.release.worker:pack", 1)
    assert refused.value.code == code
    assert worker._process is None


def test_a_worker_that_dies_once_is_replaced(tmp_path: Path) -> None:
    worker = Worker([str(tmp_path)])
    worker.call("apograph.release.worker:pack", 1)
    os.kill(pid_of(worker), signal.SIGSEGV)
    assert worker.call("apograph.release.worker:pack", 2) == {"json": 2}
    worker.close()


def test_a_hanging_worker_is_ended() -> None:
    worker = _Doomed()
    with pytest.raises(Refusal) as refused:
        worker.call("apograph.release.worker:pack", 1, seconds=0.2)
    assert (refused.value.code, refused.value.message.key) == (5, "release.worker.time")
    assert worker._process is None


def test_too_much_memory_is_a_limit(tmp_path: Path) -> None:
    worker = Worker([str(tmp_path)], memory=256 << 20)
    (tmp_path / "f").write_bytes(b"")
    os.truncate(tmp_path / "f", 250 << 20)
    with pytest.raises(Refusal) as refused:
        worker.call("apograph.release.source:read", {"kind": "folder", "path": str(tmp_path)}, "f", 1 << 30)
    assert (refused.value.code, refused.value.message.key) == (5, "release.worker.memory")
    assert worker.call("apograph.release.worker:pack", 3) == {"json": 3}
    worker.close()


def test_nothing_outside_the_roots_is_read(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.json").write_text("{}")
    worker = Worker([str(inside)])
    worker.call("apograph.release.worker:pack", 1)
    if not worker.holds["landlock"]:
        pytest.skip("this kernel has no Landlock")
    listed = worker.call("apograph.release.source:listing", {"kind": "folder", "path": str(outside)})
    assert [(fault["reason"]["params"]["reason"]) for fault in listed["faults"]] == ["Permission denied"]
    assert listed["files"] == []
    worker.close()


CONFINED = """
import os, socket, subprocess, sys
from apograph.release.confine import confine
holds = confine([])
def fails(action):
    try:
        action()
    except (OSError, MemoryError):
        return True
    return False
def connect():
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2): pass
print(holds["limits"], fails(lambda: bytearray(4 << 30)),
      fails(lambda: open("/etc/passwd").read()) or not holds["landlock"],
      fails(lambda: open(sys.argv[2], "w").write("x")),
      fails(lambda: subprocess.run(["/bin/true"])) or not holds["landlock"],
      fails(connect) or not (holds["no_network"] or holds["landlock"]))
"""


def test_a_confined_process_cannot_read_write_run_or_connect(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [sys.executable, "-c", CONFINED, str(server.getsockname()[1]), str(tmp_path / "new")],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.split() == ["True"] * 6, done.stderr
    assert not (tmp_path / "new").exists() or (tmp_path / "new").read_bytes() == b""


ORPHAN = """
import sys, time
from apograph.release.sandbox import Worker
worker = Worker()
worker.call("apograph.release.worker:pack", 1)
print(worker._process.pid, flush=True)
time.sleep(60)
"""


def test_workers_die_with_their_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(500):
        if not _runs(child):
            return
        time.sleep(0.01)
    pytest.fail("the worker outlived its parent")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_nobody_has_any_more_ends() -> None:
    worker = Worker()
    worker.call("apograph.release.worker:pack", 1)
    pid = pid_of(worker)
    del worker
    assert not _runs(pid)
