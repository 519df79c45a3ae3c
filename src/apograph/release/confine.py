"""Shut the present process in before it reads anything untrusted. Linux; each means is tried by itself.

``confine`` is called once by a worker (``release.worker``). It returns what holds, so that a report can say
so: the limits always hold, Landlock and the private network namespace only where the kernel grants them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable

MEMORY = 2 << 30
"""Address space of a worker, in bytes."""
OPEN_FILES = 128
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
# The same numbers on every architecture (since Linux 5.13).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/dev/null")


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


def confine(roots: Iterable[str], memory: int = MEMORY) -> dict[str, bool]:
    """Limit this process for good: no core file, no file written, little memory, few open files, no new
    privileges, death with the parent; and, where the kernel can, reading only below ``roots`` and the
    interpreter's own folders, and no network.

    Returns the name of each means and whether it holds.
    """
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_AS, memory),
    ):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    holds = {"limits": True}
    # In a user namespace root could no longer read other users' files; it needs none to leave the network.
    namespaces = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    holds["no_network"] = libc.unshare(namespaces) == 0
    holds["no_new_privileges"] = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    holds["landlock"] = _landlock(libc, roots)
    # After the new namespace: a change of credentials clears this signal.
    holds["dies_with_parent"] = libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    if os.getppid() != parent:
        os._exit(0)
    return holds


def allow_seconds(seconds: float) -> None:
    """Let this process use ``seconds`` more of processor time; beyond that the kernel ends it (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _landlock(libc: ctypes.CDLL, roots: Iterable[str]) -> bool:
    """Allow reading below ``roots`` and the interpreter's folders and nothing else of the file system."""
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    # Every right that this version of the kernel can withhold: 13 at first, then refer, truncate, ioctl.
    count = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rules = _Ruleset((1 << count) - 1, 3 if version >= 4 else 0)
    size = ctypes.sizeof(rules) if version >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for path in {*roots, *_SYSTEM, *sys.path, sys.prefix, sys.base_prefix}:
        _allow(libc, ruleset, path)
    held: bool = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return held


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rights = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
    libc.syscall(_ADD_RULE, ruleset, 1, ctypes.byref(_Beneath(rights, fd)), 0)
    os.close(fd)
