"""Measure code matching: recall on known renamed copies, false matches between unrelated code.

    python benchmarks/code_matching.py [--transformers FOLDER]

Recall: modeling files of the transformers package carry comments "# Copied from a.b.C with X->Y" above
functions and classes that were copied from another file and renamed. Each such function is matched against
all functions of the file that it was copied from. False matches: functions, and whole folders, of packages
that share no code. Sources are read, never imported. When copydetect (a winnowing tool) is installed, it is
run on the same pairs of functions.
"""

from __future__ import annotations

import argparse
import io
import math
import random
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

from apograph.align.code import MIN_BITS, Index, UnitMatch, match, unit_match
from apograph.align.code_pair import align
from apograph.align.code_trees import CodeTree, own_attributes, trees
from apograph.evidence.code_analysis import (
    CLEAR_BITS,
    CLEAR_COVERAGE,
    DISTINCTIVE_BITS,
    DISTINCTIVE_CONSISTENCY,
    DISTINCTIVE_PAIRS,
    clear,
    mean_consistency,
)
from apograph.findings import Refusal
from apograph.release.code import Module, module_of
from code_variants import split_statements

_COPIED = re.compile(r"#\s*Copied from (transformers(?:\.\w+)+)")
PACKAGES = ("transformers", "torch", "scipy", "sympy", "pandas", "matplotlib", "networkx", "statsmodels")
RELATED = ({"scipy", "statsmodels"}, {"pandas", "statsmodels"})
"""Pairs of packages that are known to share code or authors; they are not drawn."""
VENDORED = re.compile(r"test|version|vendor|extern|docscrape|packaging|compat|_pydecimal|pybind|setup")
"""Paths that hold code which several packages carry along."""
FOLDER_FILES, FOLDER_BYTES = 8, 120_000


@dataclass(frozen=True)
class Copy:
    """A marked copy: the unit below ``line`` of ``path`` was taken from ``name`` in ``source``."""

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
    """All marked copies below ``folder`` whose source is another file there."""
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


def marked_pairs(
    copy: Copy, left: Sequence[CodeTree], right: Sequence[CodeTree]
) -> Iterator[tuple[CodeTree, CodeTree]]:
    """The function below the mark and the one that it names; for classes their methods of one name."""
    below = [t for t in left if copy.line < t.unit.start <= copy.line + 12 and t.unit.kind != "module"]
    if not below:
        return
    first = min(below, key=lambda t: (t.unit.start, -t.unit.end))
    named = {t.unit.name: t for t in right}
    if first.unit.kind != "class":
        if copy.name in named and named[copy.name].unit.kind != "class":
            yield first, named[copy.name]
        return
    for tree in left:
        other = named.get(copy.name + tree.unit.name[len(first.unit.name) :])
        if tree.unit.name.startswith(first.unit.name + ".") and other is not None:
            yield tree, other


@dataclass(frozen=True)
class Found:
    """A marked copy, its source, and the best match that was found for it in the source's file."""

    copy: CodeTree
    source: CodeTree
    best: UnitMatch | None


def recall(folder: Path) -> list[Found]:
    """For every marked function the best match among all functions of the file that it was copied from."""
    by_files: defaultdict[tuple[Path, Path], list[Copy]] = defaultdict(list)
    for copy in copies(folder):
        by_files[copy.path, copy.source].append(copy)
    read = cache(module)
    results: list[Found] = []
    for (path, source), marks in by_files.items():
        one, two = read(path), read(source)
        if one is None or two is None:
            continue
        own = own_attributes((one, two))
        left, right = trees(one, own), trees(two, own)
        wanted = dict(pair for mark in marks for pair in marked_pairs(mark, left, right))
        index = Index(right)
        results += [Found(tree, wanted[tree], best_match(tree, index)) for tree in wanted]
    return results


def best_match(unit: CodeTree, index: Index) -> UnitMatch | None:
    """The unit of the index that shares most with ``unit``."""
    found = [align(unit, other) for other in index.nearest(unit)]
    top = max(found, key=lambda a: a.shared * a.similarity, default=None)
    return unit_match(top) if top is not None else None


def package_files(name: str) -> list[Path]:
    """The sources of an installed package, without tests and what is carried along from elsewhere."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return []
    root = Path(spec.origin).parent
    found = sorted(root.rglob("*.py"))
    return [p for p in found if not VENDORED.search(str(p.relative_to(root))) and p.stat().st_size < 200_000]


def some_units(files: list[Path], count: int, seed: int) -> list[CodeTree]:
    """Functions of at least ``MIN_BITS``, by files drawn at random."""
    files = list(files)
    random.Random(seed).shuffle(files)
    found: list[CodeTree] = []
    for path in files:
        read = module(path)
        if read is not None:
            found += [t for t in trees(read) if t.bits >= MIN_BITS and t.unit.kind in ("function", "method")]
        if len(found) >= count:
            break
    return found[:count]


def unrelated_packages() -> list[tuple[str, str]]:
    """All pairs of packages that share no code."""
    return [p for p in combinations(PACKAGES, 2) if set(p) not in RELATED]


def false_functions(count: int) -> list[UnitMatch | None]:
    """For functions of one package the best match among ``8 * count`` functions of another."""
    files = {name: package_files(name) for name in PACKAGES}
    drawn = {name: some_units(files[name], count, 1) for name in PACKAGES}
    indexes = {name: Index(some_units(files[name], 8 * count, 2)) for name in PACKAGES}
    return [best_match(unit, indexes[two]) for one, two in unrelated_packages() for unit in drawn[one]]


def folder(files: list[Path], chance: random.Random) -> list[Module]:
    """A made-up release: neighbouring files of a package, as many as a model's repository has."""
    start = chance.randrange(len(files))
    found: list[Module] = []
    size = 0
    for path in files[start : start + FOLDER_FILES]:
        size += path.stat().st_size
        read = module(path) if size <= FOLDER_BYTES else None
        if read is not None:
            found.append(read)
    return found


@dataclass(frozen=True)
class FolderPair:
    """Two made-up releases compared: the clear pairs, their bits, and whether the examiner calls it so."""

    clear: int
    bits: float
    distinctive: bool


def false_folders(count: int) -> list[FolderPair]:
    """Pairs of folders of unrelated packages, judged as the examiner judges releases."""
    chance = random.Random(3)
    files = {name: package_files(name) for name in PACKAGES}
    results: list[FolderPair] = []
    for number in range(count):
        one, two = unrelated_packages()[number % len(unrelated_packages())]
        left, right = folder(files[one], chance), folder(files[two], chance)
        own = own_attributes((*left, *right))
        found = match([t for m in left for t in trees(m, own)], [t for m in right for t in trees(m, own)])
        rows = [m for m in found.matches if clear(m)]
        results.append(FolderPair(len(rows), sum(m.bits for m in rows), distinctive(rows)))
    return results


def distinctive(rows: list[UnitMatch]) -> bool:
    """The examiner's rule where nothing is explained by a base."""
    return (
        sum(m.bits for m in rows) >= DISTINCTIVE_BITS
        and len({m.right for m in rows}) >= DISTINCTIVE_PAIRS
        and mean_consistency(rows) >= DISTINCTIVE_CONSISTENCY
    )


def text_of(tree: CodeTree) -> str:
    """The source of one unit."""
    lines = Path(tree.path).read_text("utf-8").split("\n")[tree.unit.start - 1 : tree.unit.end]
    return textwrap.dedent("\n".join(lines)) + "\n"


def winnowing(one: str, other: str) -> float | None:
    """The larger overlap that copydetect 0.5 finds for two functions, None when it is not installed."""
    try:
        from copydetect import CodeFingerprint, compare_files
    except ImportError:
        return None
    prints = [
        CodeFingerprint("f.py", 25, 1, filter=True, language="python", fp=io.StringIO(text))
        for text in (one, other)
    ]
    try:
        return float(max(compare_files(*prints)[1]))
    except (ValueError, ZeroDivisionError):
        return 0.0


def compared(drawn: list[Found], variant: Callable[[str], str | None]) -> list[tuple[float, float | None]]:
    """For each marked copy and a variant of its source: similarity here, overlap by winnowing."""
    results: list[tuple[float, float | None]] = []
    for found in drawn:
        changed = variant(text_of(found.source))
        one = module(Path(found.copy.path))
        if changed is None or one is None:
            continue
        two = module_of(with_unit(found.source, changed).encode(), "variant.py")
        own = own_attributes((one, two))
        left = next(t for t in trees(one, own) if t.unit.start == found.copy.unit.start)
        right = next(t for t in trees(two, own) if t.unit.name == found.source.unit.name)
        results.append((align(left, right).similarity, winnowing(text_of(found.copy), changed)))
    return results


def with_unit(tree: CodeTree, text: str) -> str:
    """The file of a unit with other text in the unit's place."""
    lines = Path(tree.path).read_text("utf-8").split("\n")
    first = lines[tree.unit.start - 1]
    text = textwrap.indent(text.rstrip("\n"), first[: len(first) - len(first.lstrip())])
    return "\n".join([*lines[: tree.unit.start - 1], text, *lines[tree.unit.end :]])


def shares(name: str, hits: int, of: int) -> None:
    """One row of a table."""
    print(f"  {name:58} {hits:6} of {of:6}  {hits / max(1, of):8.2%}")


def print_recall(results: list[Found]) -> None:
    """Recall by what a function says."""
    print("Marked copies (the best match in the file that it was copied from)")
    for low, high in ((0, MIN_BITS), (MIN_BITS, CLEAR_BITS), (CLEAR_BITS, 150), (150, math.inf)):
        rows = [f for f in results if low <= f.copy.bits < high]
        print(f" functions of {low:.0f} to {high:.0f} bits: {len(rows)}")
        named = [f for f in rows if f.best is not None and _same(f)]
        shares("the named source, or one equal to it, is the best match", len(named), len(rows))
        shares("similarity 1", sum(f.best is not None and f.best.similarity == 1 for f in rows), len(rows))
        shares(
            "similarity at least 0.8", sum(bool(f.best and f.best.similarity >= 0.8) for f in rows), len(rows)
        )
        shares("a clear pair", sum(f.best is not None and clear(f.best) for f in rows), len(rows))


def _same(f: Found) -> bool:
    return f.best is not None and (f.best.right is f.source or f.best.right.full[-1] == f.source.full[-1])


def print_compared(drawn: list[Found]) -> None:
    """This program and winnowing on the same pairs."""
    for name, variant in (
        ("as they are", lambda text: text),
        ("with nested calls split up", split_statements),
    ):
        rows = compared(drawn, variant)
        print(f"{len(rows)} marked copies of 60 bits and more, {name}: similarity or overlap of at least 0.8")
        shares("this program", sum(a >= 0.8 for a, _ in rows), len(rows))
        if all(b is not None for _, b in rows):
            shares(
                "winnowing (copydetect, k = 25)", sum(b is not None and b >= 0.8 for _, b in rows), len(rows)
            )


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument(
        "--transformers", type=Path, help="folder of the package (default: the installed one)"
    )
    arguments.add_argument("--functions", type=int, default=200, help="functions drawn per pair of packages")
    arguments.add_argument("--folders", type=int, default=400, help="pairs of folders")
    options = arguments.parse_args()
    spec = find_spec("transformers")
    root = options.transformers or Path(str(spec.origin if spec else "")).parent
    results = recall(root)
    print_recall(results)
    print_compared(random.Random(4).sample([f for f in results if f.copy.bits >= CLEAR_BITS], 300))
    negatives = false_functions(options.functions)
    print(f"Functions of unrelated packages (best of {8 * options.functions} of the other package)")
    for bits in (24, 60, 100, 150):
        hits = [m for m in negatives if m is not None and m.bits >= bits]
        shares(f"{bits} shared bits or more", len(hits), len(negatives))
        near = sum(max(m.left_coverage, m.right_coverage) >= CLEAR_COVERAGE for m in hits)
        shares(f"and at least {CLEAR_COVERAGE} of one of the two", near, len(negatives))
        shares("and similarity at least 0.5", sum(m.similarity >= 0.5 for m in hits), len(negatives))
    folders = false_folders(options.folders)
    print(f"Folders of unrelated packages (up to {FOLDER_FILES} files each), judged as releases are")
    for least in (1, 2, 3):
        shares(f"{least} or more clear pairs", sum(f.clear >= least for f in folders), len(folders))
    shares(
        f"{DISTINCTIVE_BITS:.0f} bits or more in clear pairs",
        sum(f.bits >= DISTINCTIVE_BITS for f in folders),
        len(folders),
    )
    shares("called distinctive", sum(f.distinctive for f in folders), len(folders))


if __name__ == "__main__":
    main()
