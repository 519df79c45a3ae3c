"""One piece of Python as a tree of operations, without names, formatting, annotations or docstrings.

Nodes stand in evaluation order (operands before what uses them), so a subtree is a run of consecutive nodes.
An operand is a pair: ``(node, -1)`` for a nested operation, or ``(-1 - name, definition)`` for a name of the
author's own, where ``definition`` is the node whose value it holds, or -1. Statement forms that say the same
get one form: ``a, b = x`` reads items 0 and 1; a comprehension is a loop that appends; ``x if c else y`` is
a test and two values; ``b > a`` is ``a < b``. Attributes keep their names here (``.name``, ``self.name``,
``call.name``): whether such a name is the author's own is seen only from all sources of a release.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TypeAlias

from apograph.release.python_expressions import Expressions, Operand, intern
from apograph.release.python_names import Function, Names

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Tree(Expressions):
    """The tree of one unit while it is built. ``pending`` is told of definitions nested in it."""

    def __init__(
        self,
        names: Names,
        strings: dict[str, int],
        scope: ast.AST,
        pending: Callable[[Definition], None],
    ) -> None:
        super().__init__(names, strings, scope)
        self.pending = pending

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> None:
        """The whole tree of a function: parameters, defaults, body."""
        a = node.args
        parameters = [*a.posonlyargs, *a.args]
        static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
        if method and parameters and not static:
            self.receiver = parameters.pop(0).arg
        starred = [x for x in (a.vararg, a.kwarg) if x is not None]
        idents = [self.own(f"v:{x.arg}") for x in (*parameters, *a.kwonlyargs, *starred)]
        defaults = [
            self.node("default", d, (self.expression(d),))
            for d in (*a.defaults, *(k for k in a.kw_defaults if k is not None))
        ]
        self.node("def", node, (*defaults, self.block(node.body, node), *idents))

    def block(self, body: Sequence[ast.stmt], at: ast.AST) -> Operand:
        """Statements in order."""
        self._deeper()
        found: list[Operand] = []
        for n, statement in enumerate(body):
            if n == 0 and isinstance(at, Function | ast.ClassDef | ast.Module) and _is_text(statement):
                continue
            found += self.statement(statement)
        self._depth -= 1
        return self.node("block", at, found)

    def statement(self, s: ast.stmt) -> list[Operand]:
        """The operands of a statement; those of functions and classes wait in ``pending``."""
        if isinstance(s, Function | ast.ClassDef):
            self.pending(s)
            return [self.node("nested", s, (self.own(f"v:{s.name}"),))]
        if isinstance(s, ast.Assign):
            return self._assign(s.targets, s.value, s)
        if isinstance(s, ast.AnnAssign):
            return [] if s.value is None else self._assign([s.target], s.value, s)
        if isinstance(s, ast.AugAssign):
            load = _as_load(s.target)
            changed = self.node(type(s.op).__name__, s, (self.expression(load), self.expression(s.value)))
            return self._store(s.target, changed, s)
        if isinstance(s, ast.Expr):
            return self._expression_statement(s)
        if isinstance(s, ast.If):
            return [self._if(s)]
        if isinstance(s, ast.For | ast.AsyncFor):
            head = self._loop(s.target, s.iter, s)
            rest = [self.block(body, s) for body in (s.body, s.orelse) if body]
            return [self.node("for", s, (head, *rest), self._target_names(s.target))]
        if isinstance(s, ast.While):
            test = self.expression(s.test)
            return [self.node("while", s, (test, *(self.block(b, s) for b in (s.body, s.orelse) if b)))]
        if isinstance(s, ast.With | ast.AsyncWith):
            return [self._with(s)]
        if isinstance(s, ast.Try | ast.TryStar):
            return [self._try(s)]
        if isinstance(s, ast.Return):
            return [self.node("return", s, () if s.value is None else (self.expression(s.value),))]
        if isinstance(s, ast.Raise):
            return [self.node("raise", s, [self.expression(x) for x in (s.exc, s.cause) if x is not None])]
        if isinstance(s, ast.Break | ast.Continue):
            return [self.node(type(s).__name__, s)]
        if isinstance(s, ast.Match):
            return [self._generic(s)]
        return []  # pass, assert, del, global, nonlocal, import: nothing that computes

    def _if(self, s: ast.If) -> Operand:
        chain = [s]
        while len(chain[-1].orelse) == 1 and isinstance(chain[-1].orelse[0], ast.If):
            chain.append(chain[-1].orelse[0])
        parts: list[Operand] = []
        for link in chain:
            parts += [self.node("if", link, (self.expression(link.test),)), self.block(link.body, link)]
        if chain[-1].orelse:
            parts.append(self.block(chain[-1].orelse, chain[-1]))
        return parts[0] if len(parts) == 1 else self.node("choice", s, parts)

    def _with(self, s: ast.With | ast.AsyncWith) -> Operand:
        parts: list[Operand] = []
        for item in s.items:
            value = self.expression(item.context_expr)
            parts += [value] if item.optional_vars is None else self._store(item.optional_vars, value, s)
        return self.node("with", s, (*parts, self.block(s.body, s)))

    def _try(self, s: ast.Try | ast.TryStar) -> Operand:
        parts = [self.block(s.body, s)]
        for handler in s.handlers:
            kind = [] if handler.type is None else [self.expression(handler.type)]
            parts.append(self.node("except", handler, (*kind, self.block(handler.body, handler))))
        parts += [self.block(body, s) for body in (s.orelse, s.finalbody) if body]
        return self.node("try", s, parts)

    def _expression_statement(self, s: ast.Expr) -> list[Operand]:
        value = s.value
        if isinstance(value, ast.Constant):
            return []  # a stray docstring
        if isinstance(value, ast.Tuple):
            return [self._as_node(self.expression(e), e) for e in value.elts]
        if (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and value.func.attr == "append"
            and len(value.args) == 1
            and not value.keywords
        ):
            return [self.node("append", s, (self.expression(value.args[0]),))]
        return [self._as_node(self.expression(value), s)]

    def _as_node(self, operand: Operand, at: ast.AST) -> Operand:
        return operand if operand[0] >= 0 else self.node("name", at, (operand,))

    # ---- assignment

    def _assign(self, targets: Sequence[ast.expr], value: ast.expr, at: ast.AST) -> list[Operand]:
        if len(targets) == 1 and isinstance(targets[0], ast.Tuple | ast.List):
            left = targets[0].elts
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(left):
                values = [self.expression(v) for v in value.elts]
                return [x for t, v in zip(left, values, strict=True) for x in self._store(t, v, at)]
        held = self.expression(value)
        found = self._store(targets[0], held, at)
        for target in targets[1:]:
            found += self._store(target, self._again(held), at)
        return found

    def _again(self, operand: Operand) -> Operand:
        """The value of an operand that already belongs to another operation."""
        return operand if operand[0] < 0 else self.own("", operand[0])

    def _store(self, target: ast.expr, value: Operand, at: ast.AST) -> list[Operand]:
        if isinstance(target, ast.Starred):
            target = target.value
        if isinstance(target, ast.Tuple | ast.List):
            found: list[Operand] = []
            for n, element in enumerate(target.elts):
                index = self.node(f"n:{n}", at)
                item = self.node("item", at, (value if n == 0 else self._again(value), index))
                found += self._store(element, item, at)
            return found
        if isinstance(target, ast.Name):
            self._held[target.id] = value[0] if value[0] >= 0 else value[1]
            return [self.node("=", at, (value,), (intern(self.strings, f"v:{target.id}"),))]
        if isinstance(target, ast.Attribute):
            if self._is_receiver(target.value):
                return [self.node("=", at, (value,), (intern(self.strings, f"a:{target.attr}"),))]
            holder = self.expression(target.value)
            return [self.node("set", at, (holder, value), (intern(self.strings, f"a:{target.attr}"),))]
        if isinstance(target, ast.Subscript):
            parts = (self.expression(target.value), self.expression(target.slice))
            return [self.node("setitem", at, (*parts, value))]
        return []


def _is_text(s: ast.stmt) -> bool:
    return isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) and isinstance(s.value.value, str)


def _as_load(target: ast.expr) -> ast.expr:
    """The target of ``x += 1`` as the expression that is read."""
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(target.id, ast.Load()), target)
    return target
