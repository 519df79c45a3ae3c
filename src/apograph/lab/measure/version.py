"""Which code an examination of weights ran: a digest of all sources that it can reach."""

from __future__ import annotations

import ast
import hashlib
from importlib.util import find_spec
from pathlib import Path

from apograph.lab.measure import look
from apograph.weigh.examine import chosen

REGISTRY = ("apograph", "apograph.evidence", "apograph.weigh.examine")
"""They import every examiner, of whatever channel; what they do with the weights' is in the others."""
BY_NAME = ("apograph.release.parts",)
"""Nothing imports it: the process that reads a release is told its name."""


def code_version() -> str:
    """Changes with every file that the weights' examiners or the conclusion from them import."""
    digest = hashlib.sha256()
    for name, path in sorted(sources().items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sources() -> dict[str, Path]:
    """The modules of the program that an examination of weights can reach, by name. The lab's own are left
    out: they ask, and judge what was answered."""
    found: dict[str, Path] = {}
    waiting = [look.__name__, *BY_NAME, *(e.run.__module__ for e in chosen(("weights",)))]
    while waiting:
        name = waiting.pop()
        path = None if name in found or name in REGISTRY else _path(name)
        if path is not None:
            found[name] = path
            waiting += _imported(path)
    return {name: path for name, path in found.items() if not name.startswith("apograph.lab")}


def _path(name: str) -> Path | None:
    try:
        spec = find_spec(name) if name.startswith("apograph") else None
    except ModuleNotFoundError:  # a name within a module
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _imported(path: Path) -> list[str]:
    """Names of modules, and of what may be one, in the import statements of a file, at any depth."""
    names = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
