"""How fast two checkpoints are compared: every part over the time of reading both files once, peak memory.

Random bfloat16 checkpoints in Llama's shapes are written into DIR (and kept), shard by shard, read once to
warm the cache, and compared in a process of their own with every examiner of the channel "weights".

    python benchmarks/compare_weights.py DIR [--gigabytes 1.7 | --llama3-8b] [--once]

The table gives the best of three runs; with --once (for files that do not fit in the cache) of one, without
the pass that only serves the table.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

SHARD = 4_000_000_000
PIECE = 1 << 24


@dataclass(frozen=True, slots=True)
class Shapes:
    """A Llama's widths; ``heads`` query heads and ``groups`` key/value heads."""

    hidden: int
    inner: int
    heads: int
    groups: int
    vocabulary: int
    untied: bool

    def tensors(self, size: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """Names and shapes, with as many layers as ``size`` bytes ask for."""
        tables = 2 * self.vocabulary * self.hidden * (1 + self.untied)
        keys = self.hidden // self.heads * self.groups
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        total, layer = tables, 0
        while total < size:
            for part, shape in (
                ("self_attn.q_proj", (self.hidden, self.hidden)),
                ("self_attn.k_proj", (keys, self.hidden)),
                ("self_attn.v_proj", (keys, self.hidden)),
                ("self_attn.o_proj", (self.hidden, self.hidden)),
                ("mlp.gate_proj", (self.inner, self.hidden)),
                ("mlp.up_proj", (self.inner, self.hidden)),
                ("mlp.down_proj", (self.hidden, self.inner)),
            ):
                yield f"model.layers.{layer}.{part}.weight", shape
                total += 2 * shape[0] * shape[1]
            layer += 1
        if self.untied:
            yield "lm_head.weight", (self.vocabulary, self.hidden)


SMALL = Shapes(2048, 5632, 32, 8, 32000, False)
LLAMA3_8B = Shapes(4096, 14336, 32, 8, 128256, True), 16_050_000_000
"""Llama 3 8B has 32 layers, 16.06 GB in bfloat16 with its norms, which are left out here."""


def write(folder: Path, shapes: Shapes, size: int, seed: int) -> None:
    """Random weights, in shards of about ``SHARD`` bytes, and a configuration; kept where they are there."""
    if (folder / "config.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.SFC64(seed))
    quantiles = [NormalDist(0, 0.02).inv_cdf((n + 0.5) / 65536) for n in range(65536)]
    normal = (np.array(quantiles, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    shards: list[list[tuple[str, tuple[int, int]]]] = [[]]
    for name, shape in shapes.tensors(size):
        if sum(2 * s[0] * s[1] for _, s in shards[-1]) > SHARD:
            shards.append([])
        shards[-1].append((name, shape))
    kept: dict[str, list[str]] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}.safetensors"
        kept[file] = [name for name, _ in shard]
        header, at = {}, 0
        for name, shape in shard:
            end = at + 2 * shape[0] * shape[1]
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
            at = end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / file).open("wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for start in range(0, at // 2, PIECE):
                n = min(PIECE, at // 2 - start)
                normal[random.integers(0, 65536, n, np.uint16)].tofile(out)
    places = {name: file for file, names in kept.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    heads = {"num_attention_heads": shapes.heads, "num_key_value_heads": shapes.groups}
    config = {"model_type": "llama", "hidden_act": "silu", "hidden_size": shapes.hidden, **heads}
    (folder / "config.json").write_text(json.dumps(config))


def read_once(folders: list[Path]) -> float:
    """Seconds to read every file once."""
    start = time.perf_counter()
    files = [str(f) for folder in folders for f in sorted(folder.glob("*.safetensors"))]
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["cat", *files], stdout=nowhere, check=True)
    return time.perf_counter() - start


def compare(folders: list[Path], once: bool) -> dict[str, float]:
    """In a process of its own: wall seconds of every part, CPU seconds and peak bytes of everything."""
    from apograph.align.tensors import match_tensors
    from apograph.evidence import coins, weights
    from apograph.evidence.registry import Case, all_examiners
    from apograph.evidence.stream import stream
    from apograph.release import open_release
    from apograph.release.tensor_store import open_store

    taken: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **named)
            finally:
                taken[name] = taken.get(name, 0.0) + time.perf_counter() - start

        return run

    examiners = [e for e in all_examiners() if e.channel == "weights"]
    case = Case(open_release(str(folders[0])), open_release(str(folders[1])))
    stores = open_store(case.reference), open_store(case.candidate)
    matches = match_tensors(*stores).matches
    first = min(matches, key=lambda m: stores[0].infos[m.reference.name].shape or ())
    planned = coins.plan([first], stores, ({}, {}))
    stream([first], *stores, [planned.fold])  # loads the compiled kernels
    if not once:
        timed("the pass, sums only", stream)(matches, *stores)
    parts = {"match_tensors": "matching by content", "stream": "the pass with the coins' products"}
    for name, label in parts.items():
        setattr(weights, name, timed(label, getattr(weights, name)))
    for name, label in (("plan", "modules of the coins"), ("look", "p of the coins, first look")):
        setattr(coins, name, timed(label, getattr(coins, name)))
    start, cpu = time.perf_counter(), time.process_time()
    for examiner in examiners:
        timed(f"examiner {examiner.name}", lambda run=examiner.run: list(run(case)))()
    taken["everything on"] = time.perf_counter() - start
    taken["CPU"] = time.process_time() - cpu
    taken["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.7)
    parser.add_argument("--llama3-8b", action="store_true", help="in the shapes of Llama 3 8B")
    parser.add_argument("--once", action="store_true", help="one run, everything on")
    parser.add_argument("--write", action="store_true", help="only write the files")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    shapes, size = LLAMA3_8B if options.llama3_8b else (SMALL, int(options.gigabytes * 1e9))
    name = "8b" if options.llama3_8b else str(options.gigabytes)
    folders = [options.folder / f"{side}-{name}" for side in "ab"]
    if options.run:
        print(json.dumps(compare(folders, options.once)))
        return
    for seed, folder in enumerate(folders):
        write(folder, shapes, size, seed)
    if options.write:
        return
    read_once(folders)
    best: dict[str, float] = {}
    for _ in range(1 if options.once else 3):
        taken = {"reading (cat)": read_once(folders)}
        command = [sys.executable, __file__, *sys.argv[1:], "--run"]
        taken |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        best = {key: min(value, best.get(key, value)) for key, value in taken.items()}
    peak, read = best.pop("peak"), best["reading (cat)"]
    print("| | seconds | times the read |\n|---|---|---|")
    for label, seconds in best.items():
        print(f"| {label} | {seconds:.2f} | {seconds / read:.2f} |")
    print(f"\npeak memory {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
