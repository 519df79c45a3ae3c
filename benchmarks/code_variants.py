"""Rewrite a function without changing what it does: every nested call gets a statement of its own."""

from __future__ import annotations

import ast

_SEALED = (
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.IfExp,
    ast.BoolOp,
    ast.Compare,
)
"""What may not be evaluated earlier, or not once."""


class _Hoist(ast.NodeTransformer):
    """Moves calls inside one statement into assignments before it."""

    def __init__(self, number: int) -> None:
        self.before: list[ast.stmt] = []
        self.number = number

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, _SEALED):
            return node
        node = self.generic_visit(node)
        if not isinstance(node, ast.Call) or (isinstance(node.func, ast.Name) and node.func.id == "super"):
            return node
        name = f"step_{self.number + len(self.before)}"
        self.before.append(ast.Assign([ast.Name(name, ast.Store())], node))
        return ast.Name(name, ast.Load())


class _Split(ast.NodeTransformer):
    def __init__(self) -> None:
        self.number = 0

    def _split(self, node: ast.stmt, value: ast.expr) -> list[ast.stmt]:
        hoist = _Hoist(self.number)
        inner = hoist.generic_visit(value) if isinstance(value, ast.Call) else hoist.visit(value)
        node.value = inner  # type: ignore[attr-defined]
        self.number += len(hoist.before)
        return [*hoist.before, node]

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        return self._split(node, node.value)

    def visit_Return(self, node: ast.Return) -> list[ast.stmt] | ast.stmt:
        return node if node.value is None else self._split(node, node.value)


def split_statements(source: str) -> str | None:
    """The source of a function with its nested calls in statements of their own; None when there are none."""
    tree = ast.parse(source)
    split = _Split()
    tree = ast.fix_missing_locations(split.visit(tree))
    return ast.unparse(tree) + "\n" if split.number >= 3 else None
