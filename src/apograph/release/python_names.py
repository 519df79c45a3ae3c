"""Which names of a Python source are its author's own choice, and which belong to libraries.

A name that the source itself binds (a variable, parameter, function, class, attribute that it stores, or
whatever it imports relatively) can be renamed without changing what the code does; a name that it only uses
(``torch.zeros``, ``.permute``, ``len``) cannot. The first kind is set aside in matching, the second is kept.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from dataclasses import dataclass, field

NAMING_CALLS = frozenset(
    ("setattr", "getattr", "hasattr", "delattr", "register_buffer", "register_parameter", "register_module")
)
"""Calls whose string argument is the name of an attribute."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def dunder(name: str) -> bool:
    """Whether a name is one of the language's own (``__init__``)."""
    return name.startswith("__") and name.endswith("__")


@dataclass(slots=True)
class Names:
    """The names of one module: ``own`` are bound anywhere in it, ``attributes`` stored on objects or defined
    in classes; ``imported`` maps a local name to the last part of what an absolute import brings; ``local``
    holds for each function what it binds itself (lambdas and comprehensions count as part of it)."""

    own: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    imported: dict[str, str] = field(default_factory=dict)
    local: dict[ast.AST, set[str]] = field(default_factory=dict)

    def library(self, name: str, local: Set[str]) -> str | None:
        """The library's name for a plain name, None when the name is the author's own."""
        if name in local:
            return None
        if name in self.imported:
            return self.imported[name]
        if name in self.own:
            return None
        return name  # a builtin, or a name that nothing in this source binds


def names_of(tree: ast.Module) -> Names:
    """The names of a module, in one linear walk."""
    found = Names()
    found.local[tree] = set()
    waiting: list[tuple[ast.AST, set[str]]] = [(tree, found.local[tree])]
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                scope.add(node.id)
            continue
        if isinstance(node, ast.Constant):
            continue
        if isinstance(node, ast.Attribute):
            if isinstance(node.ctx, ast.Store):
                found.attributes.add(node.attr)
            waiting.append((node.value, scope))
            continue
        if isinstance(node, ast.arg):
            scope.add(node.arg)
            continue
        scope = _bind(found, node, scope)
        for name in node._fields:
            value = getattr(node, name)
            if isinstance(value, list):
                waiting += [(v, scope) for v in value if isinstance(v, ast.AST)]
            elif isinstance(value, ast.AST):
                waiting.append((value, scope))
    found.own.update(*found.local.values())
    found.attributes = {name for name in found.attributes if not dunder(name)}
    found.own = {name for name in found.own if not dunder(name)}
    return found


def _bind(found: Names, node: ast.AST, scope: set[str]) -> set[str]:
    """Note what a node binds; the scope of what stands in it."""
    if isinstance(node, Function | ast.ClassDef):
        scope.add(node.name)
        found.own.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.attributes.update(_class_names(node))
        found.local[node] = set()
        return found.local[node]
    if isinstance(node, ast.Import | ast.ImportFrom):
        _import(found, node)
    elif isinstance(node, ast.ExceptHandler) and node.name:
        scope.add(node.name)
    elif isinstance(node, ast.Call):
        found.attributes.update(_named_by_call(node))
    return scope


def _import(found: Names, node: ast.Import | ast.ImportFrom) -> None:
    relative = isinstance(node, ast.ImportFrom) and node.level > 0
    for alias in node.names:
        if alias.name == "*":
            continue
        local = alias.asname or alias.name.split(".")[0]
        if relative:
            found.own.add(local)
        else:
            found.imported[local] = alias.name.rsplit(".", 1)[-1]


def _class_names(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, Function | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (t.id for t in statement.targets if isinstance(t, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def _named_by_call(node: ast.Call) -> Iterator[str]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in ("setattr", "register_buffer", "register_parameter", "register_module"):
        for argument in node.args[:2]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value
