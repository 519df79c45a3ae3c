"""From releases whose truth is known to the figures of the page, on some of the small set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from apograph.cli import call
from apograph.lab.manifest import read_manifest
from apograph.lab.measure.look import look
from apograph.lab.measure.pair import Pair

DOCS = Path(__file__).parents[2] / "docs" / "accuracy.md"
CHOSEN = (
    *(f"seed-0{n}" for n in range(4)),
    *(f"seed-00+{end}" for end in ("int8", "noise-1-708", "units", "tuned", "lora")),
)


@pytest.fixture(scope="module")
def measured(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a part of the set, and the page that ``apograph lab measure`` filled from it."""
    folder, docs = (tmp_path_factory.mktemp(name) for name in ("part", "docs"))
    for part in ("releases", "truth", "records"):
        (folder / part).symlink_to(small_set / part)
    manifest = read_manifest(small_set)
    kept = {n: asdict(manifest.recipes[n]) | {"record": dict(manifest.records[n])} for n in CHOSEN}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "releases": kept}))
    (docs / "accuracy.md").write_text(DOCS.read_text("utf-8"), "utf-8")
    assert call(["lab", "measure", str(folder), "--docs", str(docs), "--quiet"]) == 0
    return folder, docs


def row(page: str, name: str) -> list[str]:
    """The cells of the first row of any table that begins with ``name``."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_truth_becomes_figures(measured: tuple[Path, Path]) -> None:
    page = (measured[1] / "accuracy.md").read_text("utf-8")
    assert row(page, "releases") == [str(len(CHOSEN))]
    assert row(page, "concluded: independent") == ["6"]
    assert row(page, "false accusations") == ["0"]
    for name in ("int8", "noise-1-708", "units"):
        pairs, right, *others = row(page, name)
        assert pairs == right
        assert others[:6] == ["0", "0", "0", "0", "0", "1.000"]
    right, every = row(page, "modules of these pairs that it counted alike")[0].split(" of ")
    assert right == every
    assert int(every) > 0
    for name in ("p", "scores", "roc"):
        assert (measured[1] / "accuracy" / f"{name}.svg").stat().st_size > 1000


def test_what_was_measured_with_this_code_is_kept(measured: tuple[Path, Path]) -> None:
    folder, docs = measured
    rows, page = (folder / "measured.jsonl").read_bytes(), (docs / "accuracy.md").read_bytes()
    assert call(["lab", "measure", str(folder), "--docs", str(docs), "--quiet"]) == 0
    assert (folder / "measured.jsonl").read_bytes() == rows
    assert (docs / "accuracy.md").read_bytes() == page


def test_a_wrong_truth_would_show(measured: tuple[Path, Path]) -> None:
    folder, docs = measured
    listed = json.loads((folder / "manifest.json").read_text())
    listed["releases"]["seed-00+units"]["parents"][0]["name"] = "seed-03"
    changed = folder / "manifest.json"
    before = changed.read_bytes()
    try:
        changed.write_text(json.dumps(listed))
        assert call(["lab", "measure", str(folder), "--docs", str(docs), "--quiet"]) == 0
    finally:
        changed.write_bytes(before)
    page = (docs / "accuracy.md").read_text("utf-8")
    assert row(page, "units")[:6] == ["1", "0", "0", "0", "1", "0"]


def test_swapped_sides_swap_the_arrows(small_set: Path) -> None:
    one, other = "seed-00", "seed-00+int8"
    forth, back = (look(small_set, Pair(*sides, "int8")) for sides in ((one, other), (other, one)))
    assert forth["relation"] == back["relation"] == "common origin"
    assert set(forth["arrows"].values()) == {"reference"}  # type: ignore[union-attr]
    assert set(back["arrows"].values()) == {"candidate"}  # type: ignore[union-attr]
