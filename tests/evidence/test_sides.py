"""The sides of a case: opened once, told once, closed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from apograph.evidence import sides as sides_module
from apograph.evidence.registry import Case
from apograph.evidence.sides import KEY, close, roles_of, sides, stores_of
from apograph.findings import Refusal
from apograph.lab.founding.weights import safetensors
from apograph.release import open_release
from apograph.release.types import Release
from tests.evidence.train_llama import CONFIG, initial


def release(folder: Path, seed: int, names: bool = True) -> Release:
    folder.mkdir()
    weights = {n if names else f"t{i}": v for i, (n, v) in enumerate(initial(seed).items())}
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return open_release(str(folder))


def test_opened_and_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(release(tmp_path / "a", 1), release(tmp_path / "b", 2))
    calls: list[str] = []
    for name in ("open_store", "named_roles", "find_roles"):
        own = getattr(sides_module, name)
        monkeypatch.setattr(
            sides_module, name, lambda *args, name=name, own=own: (calls.append(name), own(*args))[1]
        )
    stores, roles = stores_of(sides(case)), roles_of(sides(case))
    assert stores_of(sides(case)) == stores
    assert roles_of(sides(case)) == roles
    assert sorted(calls) == ["named_roles"] * 2 + ["open_store"] * 2
    assert roles[0].towers


def test_one_side_without_names_has_both_told_by_content(tmp_path: Path) -> None:
    both = sides(Case(release(tmp_path / "a", 1), release(tmp_path / "b", 2, names=False)))
    assert both[0].named.towers
    assert not both[1].named.towers
    assert roles_of(both) == (both[0].found, both[1].found)
    assert both[0].roles == both[0].named
    assert both[1].roles == both[1].found


def test_closed_and_opened_again(tmp_path: Path) -> None:
    case = Case(release(tmp_path / "a", 1), release(tmp_path / "b", 2))
    first = sides(case)[0].store
    name = next(iter(first.infos))
    close(case)
    with pytest.raises((OSError, ValueError)):
        first.block(name, 0, 1)
    assert KEY not in case.shared
    assert sides(case)[0].store.block(name, 0, 1).size == 1
    close(case)
    close(case)


def test_nobody_left_closes(tmp_path: Path) -> None:
    case = Case(release(tmp_path / "a", 1), release(tmp_path / "b", 2))
    store = sides(case)[0].store
    case.shared.clear()
    with pytest.raises((OSError, ValueError)):
        store.block(next(iter(store.infos)), 0, 1)


def test_another_release_has_other_weights(tmp_path: Path) -> None:
    case = Case(release(tmp_path / "a", 1), release(tmp_path / "b", 2))
    kept = sides(case)
    assert sides(replace(case, candidate=case.reference)) != kept


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    case = Case(release(tmp_path / "a", 1), release(tmp_path / "b", 2))
    (tmp_path / "b" / "model.safetensors").unlink()
    assert sides(case)[0].store.infos
    with pytest.raises(Refusal):
        stores_of(sides(case))
