"""How fast two checkpoints are compared: wall time over that of reading both files once, and peak memory.

Random bfloat16 checkpoints in Llama's shapes are written into DIR (and kept), read once to warm the cache,
and compared in a process of their own with every examiner of the channel "weights" on.

    python benchmarks/compare_weights.py DIR [--gigabytes 1.7] [--repeat 3] [--moments]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HIDDEN, INNER, KEYS = 2048, 5632, 512
SHARD = 4_000_000_000


def shapes(size: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names and shapes of a Llama model of at least ``size`` bytes."""
    total, layer = 2 * 32000 * HIDDEN, 0
    yield "model.embed_tokens.weight", (32000, HIDDEN)
    while total < size:
        for part, shape in (
            ("self_attn.q_proj", (HIDDEN, HIDDEN)),
            ("self_attn.k_proj", (KEYS, HIDDEN)),
            ("self_attn.v_proj", (KEYS, HIDDEN)),
            ("self_attn.o_proj", (HIDDEN, HIDDEN)),
            ("mlp.gate_proj", (INNER, HIDDEN)),
            ("mlp.up_proj", (INNER, HIDDEN)),
            ("mlp.down_proj", (HIDDEN, INNER)),
        ):
            yield f"model.layers.{layer}.{part}.weight", shape
            total += 2 * shape[0] * shape[1]
        layer += 1


def write(folder: Path, size: int, seed: int) -> None:
    """Random weights, in shards of at most ``SHARD`` bytes and their configuration; kept when there."""
    if (folder / "config.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    shards: list[list[tuple[str, tuple[int, int]]]] = [[]]
    for name, shape in shapes(size):
        if sum(2 * s[0] * s[1] for _, s in shards[-1]) > SHARD:
            shards.append([])
        shards[-1].append((name, shape))
    for number, shard in enumerate(shards, start=1):
        header, at = {}, 0
        for name, shape in shard:
            end = at + 2 * shape[0] * shape[1]
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
            at = end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / f"model-{number:05}.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, shape in shard:
                values = random.standard_normal(shape[0] * shape[1], np.float32) * np.float32(0.02)
                (values.view(np.uint32) >> 16).astype(np.uint16).tofile(file)
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": HIDDEN}
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_act": "silu", **heads}))


def read_once(folders: list[Path]) -> float:
    """Seconds to read every file once."""
    start = time.perf_counter()
    files = [str(f) for folder in folders for f in sorted(folder.glob("*.safetensors"))]
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["cat", *files], stdout=nowhere, check=True)
    return time.perf_counter() - start


def compare(folders: list[Path], moments_only: bool) -> None:
    """In a process of its own: prints wall and CPU seconds and peak bytes."""
    from apograph.align.tensors import match_tensors
    from apograph.evidence.registry import Case
    from apograph.evidence.stream import stream
    from apograph.evidence.weights import transformations
    from apograph.findings import Finding
    from apograph.release import open_release
    from apograph.release.tensor_store import open_store

    releases = [open_release(str(folder)) for folder in folders]
    stream(match_tensors(*map(open_store, releases)).matches[:1], *map(open_store, releases))  # compile
    start, cpu = time.perf_counter(), time.process_time()
    if moments_only:
        stores = [open_store(r) for r in releases]
        matches = match_tensors(*stores).matches
        told = [f"{len(stream(matches, *stores))} matches"]
    else:
        results = list(transformations(Case(*releases)))
        told = [f"{r.id}: {r.message.key}" for r in results if isinstance(r, Finding)]
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - start,
                "cpu": time.process_time() - cpu,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "told": told,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.7)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--moments", action="store_true", help="only the sums, without coins and classes")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folders = [options.folder / f"{side}-{options.gigabytes}" for side in "ab"]
    if options.run:
        compare(folders, options.moments)
        return
    for seed, folder in enumerate(folders):
        write(folder, int(options.gigabytes * 1e9), seed)
    read_once(folders)
    for _ in range(options.repeat):
        read = read_once(folders)
        command = [sys.executable, __file__, *sys.argv[1:], "--run"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"read {read:.2f} s, compared {ours['wall']:.2f} s ({ours['wall'] / read:.2f} times), "
            f"CPU {ours['cpu']:.2f} s, peak {ours['peak'] / 1e6:.0f} MB: {'; '.join(ours['told'])}",
            flush=True,
        )


if __name__ == "__main__":
    main()
