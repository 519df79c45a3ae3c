"""Writes the demo's releases as git repositories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apograph.lab.founding.stories import DAY, START, Step, stories


def build(folder: Path) -> dict[str, Path]:
    """Write the five repositories below ``folder`` and return their paths by role.

    Raises FileExistsError when ``folder`` holds one of them already.
    """
    paths = {}
    for role, steps in stories().items():
        paths[role] = folder / role
        write_repository(paths[role], steps)
    return paths


def write_repository(path: Path, steps: Sequence[Step]) -> None:
    """A git repository with one commit per step, the last one's files in its working tree."""
    import pygit2

    if path.exists():
        raise FileExistsError(path)
    repository = pygit2.init_repository(str(path), initial_head="main")
    tree: dict[str, bytes] = {}
    parents: list[pygit2.Oid] = []
    for step in steps:
        for name, content in step.files.items():
            if content is None:
                del tree[name]
            else:
                tree[name] = content
        builder = repository.TreeBuilder()
        for name, content in tree.items():
            builder.insert(name, repository.create_blob(content), pygit2.enums.FileMode.BLOB)
        who = pygit2.Signature(step.author, "nobody@example.org", int(START + step.day * DAY), 0)
        parents = [
            repository.create_commit("refs/heads/main", who, who, step.message, builder.write(), parents)
        ]
    repository.index.read_tree(repository[parents[0]].tree)
    repository.index.write()
    for name, content in tree.items():
        (path / name).write_bytes(content)
