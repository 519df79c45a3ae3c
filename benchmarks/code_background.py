"""Count how common pieces of Python are in published libraries, and write the code book for matching.

    python benchmarks/code_background.py --out src/apograph/align/code_background.bin

Counts every operation and every subtree of 2 to 40 nodes in the sources of the installed packages named
below (read, never imported). Kept are operations seen at least 5 times, and subtrees that occur in at least
8 files and cost less than their parts do; the 24,000 that save most.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from apograph.align import code_background as background
from apograph.align.code_shape import FREE, Shaper
from apograph.findings import Refusal
from apograph.release.code import module_of

PACKAGES = ("transformers", "torch", "numpy", "scipy", "pandas", "networkx", "matplotlib", "json")
LARGEST = 300_000
KEPT = 24_000


def sources(packages: tuple[str, ...], per_package: int) -> Iterator[Path]:
    """Python files of the packages, tests left out, evenly spread where there are too many."""
    for package in packages:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            print(f"{package} is not installed and was left out", file=sys.stderr)
            continue
        root = Path(spec.origin).parent
        root = root.parent if package == "json" else root
        pattern = "*.py" if package == "json" else "**/*.py"
        found = sorted(f for f in root.glob(pattern) if "test" not in str(f.relative_to(root)))
        step = max(1, math.ceil(len(found) / per_package))
        yield from found[::step]


def main() -> None:
    """Count and write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--per-package", type=int, default=400)
    options = arguments.parse_args()
    leaves: Counter[int] = Counter()
    free: set[int] = set()
    counts: Counter[int] = Counter()
    in_files: Counter[int] = Counter()
    built_of: dict[int, tuple[int, tuple[int, ...]]] = {}
    read = 0
    for path in sources(PACKAGES, options.per_package):
        data = path.read_bytes()
        if len(data) > LARGEST:
            continue
        try:
            module = module_of(data, str(path))
        except Refusal:
            continue
        read += 1
        here: set[int] = set()
        shaper = Shaper(module, frozenset(module.attributes))
        for unit in module.units:
            bare = shaper.shape(unit)
            labels = bare.labels()
            full, kids, size = bare.full(labels), bare.kids, bare.size
            for i, op in enumerate(bare.ops):
                key = background.leaf_key(labels[i])
                leaves[key] += 1
                if op in FREE:
                    free.add(key)
                if 1 < size[i] <= 40:
                    counts[full[i]] += 1
                    here.add(full[i])
                    built_of.setdefault(
                        full[i],
                        (
                            key,
                            tuple(
                                full[k] if k >= 0 and size[k] > 1 else background.leaf_key(labels[k])
                                for k in kids[i]
                                if k >= 0
                            ),
                        ),
                    )
        in_files.update(here)
    total = leaves.total()
    costs = {k: round(-math.log2(n / total) * background.UNIT) for k, n in leaves.items() if n >= 5}
    costs |= dict.fromkeys(free, 0)
    memo: dict[int, int] = {}

    def composed(key: int) -> int:
        if key not in built_of:
            return costs.get(key, background.UNKNOWN)
        if key not in memo:
            root, parts = built_of[key]
            memo[key] = costs.get(root, background.UNKNOWN) + sum(cost(p) for p in parts)
        return memo[key]

    def cost(key: int) -> int:
        if key not in built_of:
            return composed(key)
        return min(composed(key), round(-math.log2(counts[key] / total) * background.UNIT))

    saved = {
        k: (composed(k) - cost(k)) * counts[k]
        for k, n in in_files.items()
        if n >= 8 and composed(k) - cost(k) > background.UNIT
    }
    best = sorted(saved, key=lambda k: (-saved[k], k))[:KEPT]
    kept = costs | {k: cost(k) for k in best}
    options.out.write_bytes(background.write(kept))
    print(
        f"{read} files, {total:,} nodes; {len(costs):,} operations, {len(best):,} of {len(saved):,} subtrees"
    )


if __name__ == "__main__":
    main()
