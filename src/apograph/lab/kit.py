"""Cisco's model provenance kit, asked about many pairs in one process of the Python in which it is installed.

The kit is no dependency: whoever wants it beside our own figures installs ``cisco-ai-provenance-kit`` into an
environment of its own and names that environment's Python.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_DRIVER = """
import json, sys, time
from pathlib import Path
from provenancekit.core.scanner import ModelProvenanceScanner
from provenancekit.services.cache import CacheService
scanner = ModelProvenanceScanner(cache=CacheService(cache_dir=Path(sys.argv[1])))
for line in sys.stdin:
    a, b = json.loads(line)
    began = time.monotonic()
    try:
        found = scanner.compare(a, b)
        told = {"score": found.scores.pipeline_score, "decision": found.scores.provenance_decision}
    except Exception as error:
        told = {"failed": f"{type(error).__name__}: {error}"[:200]}
    print("\\x1e" + json.dumps(told | {"seconds": time.monotonic() - began}), flush=True)
"""
MARK = "\x1e"
"""Begins a line of the driver's own: the kit may print others."""


def kit_answers(python: str, pairs: Iterable[tuple[Path, Path]]) -> Iterator[dict[str, Any]]:
    """For every pair of folders "score" (0 to 1), "decision" and "seconds", or what "failed".

    Raises FileNotFoundError when there is no such Python and ChildProcessError when the kit does not start.
    """
    with (
        tempfile.TemporaryDirectory() as cache,
        subprocess.Popen(
            [python, "-c", _DRIVER, cache],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as running,
    ):
        assert running.stdin is not None
        assert running.stdout is not None
        for a, b in pairs:
            try:
                print(json.dumps([str(a), str(b)]), file=running.stdin, flush=True)
            except BrokenPipeError:
                raise ChildProcessError(python) from None
            yield _next(running.stdout, python)
        running.stdin.close()


def _next(lines: Iterable[str], python: str) -> dict[str, Any]:
    for line in lines:
        if line.startswith(MARK):
            told: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return told
    raise ChildProcessError(python)
