"""All pairs measured side by side; what is measured with the same code is kept."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeAlias

from apograph.findings import Json
from apograph.lab.measure.look import look
from apograph.lab.measure.pair import Pair
from apograph.lab.measure.version import code_version

Row: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[int, int, str], None]


def measured(file: Path, pairs: Iterable[Pair]) -> list[Row]:
    """The rows of ``file`` that belong to ``pairs``, newest first where one was measured again."""
    wanted = {pair.key for pair in pairs}
    rows: dict[str, Row] = {}
    if file.exists():
        for line in file.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of an interrupted run
            rows[row["key"]] = row
    return [row for key, row in rows.items() if key in wanted]


def measure(folder: Path, pairs: Sequence[Pair], jobs: int, progress: Progress) -> list[Row]:
    """Measure what is missing or was measured with other code, appending to ``measured.jsonl``; all rows in
    the order of ``pairs``."""
    file, version = folder / "measured.jsonl", code_version()
    known = {row["key"] for row in measured(file, pairs) if row["version"] == version}
    missing = [pair for pair in pairs if pair.key not in known]
    with file.open("a") as out:
        for n, row in enumerate(_rows(folder, missing, jobs)):
            progress(n, len(missing), str(row["candidate"]))
            out.write(json.dumps(row | {"version": version}) + "\n")
            out.flush()
    rows = {row["key"]: row for row in measured(file, pairs)}
    return [rows[pair.key] for pair in pairs]


def _rows(folder: Path, pairs: Sequence[Pair], jobs: int) -> Iterable[dict[str, Json]]:
    if jobs == 1:
        yield from (_one(folder, pair) for pair in pairs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_single) as pool:
        for future in as_completed([pool.submit(_one, folder, pair) for pair in pairs]):
            yield future.result()


def _single() -> None:
    """One thread in each process."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"


def _one(folder: Path, pair: Pair) -> dict[str, Json]:
    return {"key": pair.key, **look(folder, pair)}
