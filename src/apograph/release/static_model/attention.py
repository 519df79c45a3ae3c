"""Self- or cross-attention, decided from the forward pass: do queries and keys come from one source?

Each expression is traced back to its roots: the arguments of ``forward`` and the learned parameters of the
module. Shapes, devices and types carry no content and are not followed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from apograph.release.static_model.members import ancestry, dotted_name
from apograph.release.static_model.project import Project
from apograph.release.static_model.source import FunctionNode, Source, blocks_of

_NO_CONTENT = frozenset({"shape", "size", "device", "dtype", "ndim", "numel", "dim", "training", "config"})
_QUERY = frozenset(["q_proj", "to_q", "wq", "query_proj", "q_linear", "linear_q", "query", "q"])
_KEY = frozenset(["k_proj", "to_k", "wk", "key_proj", "k_linear", "linear_k", "key", "k", "to_kv", "kv"])


def attentions(project: Project, sources: Iterable[Source]) -> list[dict[str, Any]]:
    """For every class that attends: file, line, ``type`` ("self" or "cross"), and the roots of both sides."""
    rows: list[dict[str, Any]] = []
    for source in sources:
        for cls in source.classes.values():
            held = _held(project, source, cls)
            for method in cls.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("__"):
                    rows += _Flow(source, cls, method, held).rows.values()
    return rows


def _held(project: Project, source: Source, cls: ast.ClassDef) -> tuple[set[str], set[str]]:
    """Attributes that hold a MultiheadAttention, and those that hold a learned parameter."""
    attention: set[str] = set()
    learned: set[str] = set()
    for node in ast.walk(cls):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            for left, right in pairs:
                if isinstance(left, ast.Attribute) and isinstance(right, ast.Call):
                    names = _names_of(project, source, right.func)
                    if any(n.endswith("MultiheadAttention") for n in names):
                        attention.add(left.attr)
                    elif any(n.endswith(".Parameter") for n in names):
                        learned.add(left.attr)
    return attention, learned


def _names_of(project: Project, source: Source, function: ast.expr) -> set[str]:
    """The full name of what is called and, for a class of the release, of its ancestors."""
    names = {dotted_name(project, source, function)}
    if isinstance(function, ast.Name):
        symbol = project.resolve(source, function.id)
        if symbol and isinstance(symbol.node, ast.ClassDef) and symbol.source:
            names |= {a.dotted for a in ancestry(project, symbol.source, symbol.node)}
    return names


class _Flow:
    """One method read from top to bottom: for every local name the roots that it has at this point."""

    def __init__(
        self, source: Source, cls: ast.ClassDef, method: FunctionNode, held: tuple[set[str], set[str]]
    ):
        self.source, self.cls = source, cls
        self.attention, self.learned = held
        arguments = [a.arg for a in (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs)]
        self.me = arguments[0] if arguments else "self"
        self.roots = {name: {name} for name in arguments[1:]}
        self.rows: dict[int, dict[str, Any]] = {}
        self.projected: dict[str, tuple[set[str], int]] = {}
        self.block(method.body, strong=True)
        if not self.rows and self.projected.keys() == {"q", "k"}:
            (query, line), (key, _) = self.projected["q"], self.projected["k"]
            self.note(line, query, key)

    def block(self, body: list[ast.stmt], strong: bool) -> None:
        """``strong``: an assignment replaces what the name had; in branches and loops it adds to it."""
        for node in body:
            self.calls(node)
            if isinstance(node, ast.Assign | ast.For):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                value = node.value if isinstance(node, ast.Assign) else node.iter
                for target in targets:
                    self.assign(target, value, strong and isinstance(node, ast.Assign))
            elif isinstance(node, ast.AugAssign):
                self.assign(node.target, node.value, False)
            elif isinstance(node, ast.Expr):
                self.appended(node.value)
            inner = isinstance(node, ast.With | ast.Try)
            for _ in range(2 if isinstance(node, ast.For | ast.While) else 1):
                for part in blocks_of(node):
                    self.block(part, strong and inner)

    def assign(self, target: ast.expr, value: ast.expr, strong: bool) -> None:
        """Give a name, or each name of a tuple, the roots of its value."""
        if isinstance(target, ast.Tuple | ast.List):
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for index, part in enumerate(target.elts):
                self.assign(part, parts[index] if len(parts) == len(target.elts) else value, strong)
        elif isinstance(target, ast.Name):
            found = self.of(value)
            self.roots[target.id] = found if strong else self.roots.get(target.id, set()) | found

    def appended(self, call: ast.expr) -> None:
        """``x.append(y)``: x gains the roots of y."""
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "append":
            for argument in call.args:
                self.assign(call.func.value, argument, False)

    def calls(self, statement: ast.stmt) -> None:
        """Look at the attention calls of a statement, not of the statements inside it."""
        inside = {id(s) for block in blocks_of(statement) for s in block}
        stack: list[ast.AST] = [statement]
        while stack:
            node = stack.pop()
            stack += [n for n in ast.iter_child_nodes(node) if id(n) not in inside]
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if not isinstance(node.func.value, ast.Name) or node.func.value.id != self.me:
                continue
            name = node.func.attr
            if name in self.attention:
                given = {k.arg: k.value for k in node.keywords}
                key = node.args[1] if len(node.args) > 1 else given.get("key")
                if key is not None:
                    self.note(node.lineno, self.of(node.args[0]), self.of(key))
            for kind, names in (("q", _QUERY), ("k", _KEY)):
                if name in names:
                    self.projected[kind] = (self.of(node.args[0]), node.lineno)

    def note(self, line: int, query: set[str], key: set[str]) -> None:
        """One place of attention. Where both sides share some roots but not all it is not decided."""
        if query and key and (query == key or not query & key):
            self.rows[line] = {
                "cls": self.cls.name, "path": self.source.path, "line": line,
                "type": "self" if query == key else "cross", "query": sorted(query), "key": sorted(key),
            }  # fmt: skip

    def of(self, expression: ast.expr) -> set[str]:
        """The roots of an expression."""
        found: set[str] = set()
        stack: list[ast.AST] = [expression]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.Attribute):
                if node.attr in _NO_CONTENT:
                    continue
                if isinstance(node.value, ast.Name) and node.value.id == self.me:
                    if node.attr in self.learned:
                        found.add(f"{self.me}.{node.attr}")
                    continue
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"len", "range"}
            ):
                continue
            if isinstance(node, ast.Name):
                found |= self.roots.get(node.id, set())
            stack += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.keyword)]
        return found
