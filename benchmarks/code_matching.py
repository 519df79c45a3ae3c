"""Measure code matching: recall on known renamed copies, false matches between unrelated functions.

    python benchmarks/code_matching.py [--transformers FOLDER] [--units 1500]

Recall: modeling files of the transformers package carry comments "# Copied from a.b.C with X->Y" above
functions and classes that were copied from another file and renamed. Each such function is matched against
all functions of the file that it was copied from. False matches: functions of one package against all
functions of a package that shares no code with it. Sources are read, never imported. When copydetect (a
winnowing tool) is installed, it is run on the same pairs of functions.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from apograph.align.code import Index, UnitMatch, match, unit_match
from apograph.align.code_pair import align
from apograph.align.code_trees import CodeTree, own_attributes, trees
from apograph.findings import Refusal
from apograph.release.code import Module, module_of

_COPIED = re.compile(r"#\s*Copied from (transformers(?:\.\w+)+)")
UNRELATED = (
    ("transformers", "scipy"),
    ("transformers", "sympy"),
    ("transformers", "torch"),
    ("matplotlib", "statsmodels"),
    ("networkx", "pandas"),
)
"""Pairs of packages that share no code. transformers and torch are of one trade and share idioms."""


@dataclass(frozen=True)
class Copy:
    """A marked copy: the unit at ``line`` of ``path`` was taken from ``name`` in ``source``."""

    path: Path
    line: int
    source: Path
    name: str


def module(path: Path) -> Module | None:
    """A source, None when it is refused."""
    try:
        return module_of(path.read_bytes(), str(path))
    except Refusal:
        return None


def copies(folder: Path) -> Iterator[Copy]:
    """All marked copies below ``folder`` whose source is there too."""
    for path in sorted(folder.glob("models/*/modeling_*.py")):
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            marked = _COPIED.search(line)
            if marked is None:
                continue
            parts = marked[1].split(".")[1:]
            for cut in range(len(parts) - 1, 0, -1):
                source = folder.joinpath(*parts[:cut]).with_suffix(".py")
                if source.is_file():
                    if source != path:
                        yield Copy(path, number, source, ".".join(parts[cut:]))
                    break


def marked_pairs(copy: Copy, left: Sequence[CodeTree], right: Sequence[CodeTree]) -> list[tuple[CodeTree, CodeTree]]:
    """The function that follows the mark and the one that it names; for classes, their methods of one name."""
    after = [t for t in left if t.unit.start > copy.line or t.unit.start <= copy.line + 12]
    after = sorted((t for t in after if t.unit.start > copy.line), key=lambda t: (t.unit.start, -t.unit.end))
    named = {t.unit.name: t for t in right}
    if not after or after[0].unit.start > copy.line + 12:
        return []
    if copy.name in named and after[0].unit.kind in ("function", "method") and "class" != named[copy.name].unit.kind:
        return [(after[0], named[copy.name])]
    owner = after[0].unit.name.split(".")[0]
    found = []
    for t in left:
        other = named.get(copy.name + t.unit.name[len(owner) :])
        if t.unit.name.startswith(owner + ".") and other is not None:
            found.append((t, other))
    return found


def recall(folder: Path) -> list[tuple[CodeTree, CodeTree, UnitMatch | None]]:
    """For every marked function: its source, and the pair that matching of the two files found for it."""
    by_files: defaultdict[tuple[Path, Path], list[Copy]] = defaultdict(list)
    for copy in copies(folder):
        by_files[copy.path, copy.source].append(copy)
    cache: dict[Path, Module | None] = {}
    results = []
    for (path, source), marks in by_files.items():
        one, two = (cache.setdefault(p, None) or cache.update({p: module(p)}) or cache[p] for p in (path, source))
        if one is None or two is None:
            continue
        own = own_attributes((one, two))
        left, right = trees(one, own), trees(two, own)
        pairs = {(a, b) for mark in marks for a, b in marked_pairs(mark, left, right)}
        if not pairs:
            continue
        back = Index(right)
        for a, b in sorted(pairs, key=lambda p: p[0].unit.start):
            found = max((align(a, o) for o in back.nearest(a)), key=lambda x: x.shared * x.similarity, default=None)
            results.append((a, b, unit_match(found) if found else None))
    return results


def package_units(name: str, count: int, seed: int, own: frozenset[str] = frozenset()) -> list[CodeTree]:
    """Up to ``count`` functions of at least 24 bits of an installed package, drawn at random by file."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return []
    files = [p for p in sorted(Path(spec.origin).parent.rglob("*.py")) if "test" not in str(p)]
    random.Random(seed).shuffle(files)
    found: list[CodeTree] = []
    for path in files:
        read = module(path) if path.stat().st_size < 200_000 else None
        if read is not None:
            found += [t for t in trees(read) if t.bits >= 24 and t.unit.kind in ("function", "method")]
        if len(found) >= count:
            break
    return found[:count]


def false_matches(one: str, two: str, count: int) -> list[UnitMatch | None]:
    """For functions of package ``one`` the best match among ``4 * count`` functions of package ``two``."""
    index = Index(package_units(two, 4 * count, 2))
    best: list[UnitMatch | None] = []
    for unit in package_units(one, count, 1):
        found = [align(unit, other) for other in index.nearest(unit)]
        top = max(found, key=lambda a: a.shared * a.similarity, default=None)
        best.append(unit_match(top) if top else None)
    return best


def share(rows: Sequence[UnitMatch | None], test: Callable[[UnitMatch], bool]) -> str:
    """How many rows pass, as text."""
    hits = sum(1 for m in rows if m is not None and test(m))
    return f"{hits:5d} of {len(rows):5d} ({hits / max(1, len(rows)):7.2%})"
