"""Python expressions as operations, without names and formatting (see ``release.python_tree``)."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Sequence, Set
from typing import TypeAlias

from apograph.release.python_names import NAMING_CALLS, Names

MAX_DEPTH = 150
"""Nesting of statements and expressions; a deeper unit is skipped and named."""
_LONGEST_TEXT = 60

Operand: TypeAlias = tuple[int, int]
_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}


class TooDeep(Exception):  # noqa: N818 - a limit, handled by the caller
    """The nesting limit was passed."""


def intern(table: dict[str, int], text: str) -> int:
    """The index of a text in a table that grows."""
    return table.setdefault(text, len(table))


class Expressions:
    """The nodes of one unit while they are built. ``strings`` is the module's table of texts."""

    def __init__(self, names: Names, strings: dict[str, int], scope: ast.AST) -> None:
        self.names, self.strings = names, strings
        self.ops: list[int] = []
        self.lines: list[int] = []
        self.operands: list[tuple[Operand, ...]] = []
        self.targets: list[tuple[int, ...]] = []
        module_level = isinstance(scope, ast.Module | ast.ClassDef)
        self.locals: Set[str] = frozenset() if module_level else names.local[scope]
        self.receiver = ""
        self._held: dict[str, int] = {}
        self._depth = 0

    def node(
        self, op: str, at: ast.AST, operands: Sequence[Operand] = (), targets: Sequence[int] = ()
    ) -> Operand:
        """Add an operation; its operands are there already."""
        self.ops.append(intern(self.strings, op))
        self.lines.append(getattr(at, "lineno", 0))
        self.operands.append(tuple(operands))
        self.targets.append(tuple(targets))
        return len(self.ops) - 1, -1

    def own(self, name: str, definition: int = -1) -> Operand:
        """A name of the author's own as an operand. ``name`` begins with its kind, ``v:`` or ``a:``."""
        return -1 - intern(self.strings, name), definition

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeep

    def statement(self, s: ast.stmt) -> list[Operand]:
        """A statement inside an expression's parts (``match``): the subclass knows statements."""
        raise NotImplementedError

    def _target_names(self, target: ast.expr) -> list[int]:
        return [
            intern(self.strings, f"v:{n.id}")
            for n in ast.walk(target)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        ]

    def _loop(self, target: ast.expr, source: ast.expr, at: ast.AST) -> Operand:
        head = self.node("each", at, (self.expression(source),))
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                self._held[name.id] = head[0]
        return head

    def expression(self, e: ast.expr) -> Operand:
        """An expression as an operand; operations are added as they are met."""
        self._deeper()
        handler = _HANDLERS.get(type(e))
        found = handler(self, e) if handler else self._generic(e)
        self._depth -= 1
        return found

    def _generic(self, e: ast.AST) -> Operand:
        parts: list[Operand] = []
        for child in ast.iter_child_nodes(e):
            if isinstance(child, ast.expr):
                parts.append(self.expression(child))
            elif isinstance(child, ast.stmt):
                parts += self.statement(child)
            elif not isinstance(child, ast.expr_context | ast.operator | ast.unaryop | ast.boolop):
                self._deeper()
                parts.append(self._generic(child))
                self._depth -= 1
        return self.node(type(e).__name__, e, parts)

    def _name(self, e: ast.Name) -> Operand:
        library = self.names.library(e.id, self.locals)
        if library is not None:
            return self.node(f"x:{library}", e)
        return self.own(f"v:{e.id}", self._held.get(e.id, -1))

    def _constant(self, e: ast.Constant) -> Operand:
        return self.node(constant(e.value), e)

    def _is_receiver(self, e: ast.expr) -> bool:
        return bool(self.receiver) and isinstance(e, ast.Name) and e.id == self.receiver

    def _from_library(self, e: ast.expr) -> bool:
        """Whether a dotted name starts at something that an absolute import brought."""
        while isinstance(e, ast.Attribute):
            e = e.value
        return isinstance(e, ast.Name) and e.id in self.names.imported and e.id not in self.locals

    def _attribute(self, e: ast.Attribute) -> Operand:
        if self._from_library(e):
            return self.node(f"x:{e.attr}", e)
        if self._is_receiver(e.value):
            return self.node(f"self.{e.attr}", e)
        return self.node(f".{e.attr}", e, (self.expression(e.value),))

    def _call(self, e: ast.Call) -> Operand:
        op, parts = self._callee(e.func)
        naming = op[5:] in NAMING_CALLS
        for argument in e.args:
            text = argument.value if isinstance(argument, ast.Constant) else None
            if naming and isinstance(text, str) and text in self.names.attributes:
                parts.append(self.own(f"a:{text}"))
            else:
                parts.append(self.expression(argument))
        for k in e.keywords:
            value = self.expression(k.value)
            parts.append(value if op == "call" else self.node(f"kw:{k.arg or '**'}", k.value, (value,)))
        return self.node(op, e, parts)

    def _callee(self, f: ast.expr) -> tuple[str, list[Operand]]:
        """The operation of a call and what it is called on: ``call:name`` for a library's function,
        ``call.name`` for something's method, ``call`` for a function of the author's own."""
        if isinstance(f, ast.Name):
            library = self.names.library(f.id, self.locals)
            return ("call", [self.own(f"v:{f.id}")]) if library is None else (f"call:{library}", [])
        if isinstance(f, ast.Attribute):
            if self._from_library(f):
                return f"call:{f.attr}", []
            return f"call.{f.attr}", [] if self._is_receiver(f.value) else [self.expression(f.value)]
        return "call", [self.expression(f)]

    def _compare(self, e: ast.Compare) -> Operand:
        kinds, parts = [type(o) for o in e.ops], [e.left, *e.comparators]
        if len(kinds) == 1 and kinds[0] in _FLIPPED:
            kinds, parts = [_FLIPPED[kinds[0]]], parts[::-1]
        op = "cmp:" + ",".join(k.__name__ for k in kinds)
        return self.node(op, e, [self.expression(p) for p in parts])

    def _binary(self, e: ast.BinOp) -> Operand:
        return self.node(type(e.op).__name__, e, (self.expression(e.left), self.expression(e.right)))

    def _boolean(self, e: ast.BoolOp) -> Operand:
        return self.node(type(e.op).__name__, e, [self.expression(v) for v in e.values])

    def _unary(self, e: ast.UnaryOp) -> Operand:
        inner = e.operand
        if isinstance(e.op, ast.USub) and isinstance(inner, ast.Constant):
            return self.node("-" + constant(inner.value), e)
        return self.node(type(e.op).__name__, e, (self.expression(inner),))

    def _subscript(self, e: ast.Subscript) -> Operand:
        return self.node("item", e, (self.expression(e.value), self.expression(e.slice)))

    def _slice(self, e: ast.Slice) -> Operand:
        parts = (e.lower, e.upper, e.step)
        shape = "".join("0" if p is None else "1" for p in parts)
        return self.node(f"slice{shape}", e, [self.expression(p) for p in parts if p is not None])

    def _conditional(self, e: ast.IfExp) -> Operand:
        test = self.node("if", e, (self.expression(e.test),))
        return self.node("either", e, (test, self.expression(e.body), self.expression(e.orelse)))

    def _comprehension(self, e: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Operand:
        parts: list[Operand] = []
        for g in e.generators:
            head = self._loop(g.target, g.iter, e)
            tests = [self.node("if", t, (self.expression(t),)) for t in g.ifs]
            parts.append(self.node("for", e, (head, *tests), self._target_names(g.target)))
        if isinstance(e, ast.DictComp):
            return self.node("DictComp", e, (*parts, self.expression(e.key), self.expression(e.value)))
        parts.append(self.node("append", e.elt, (self.expression(e.elt),)))
        return self.node("comp", e, parts)

    def _lambda(self, e: ast.Lambda) -> Operand:
        a = e.args
        names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
        for name in names:
            self._held.pop(name, None)
        return self.node("Lambda", e, (self.expression(e.body), *(self.own(f"v:{n}") for n in names)))

    def _named(self, e: ast.NamedExpr) -> Operand:
        value = self.expression(e.value)
        self._held[e.target.id] = value[0] if value[0] >= 0 else value[1]
        return self.node("=", e, (value,), (intern(self.strings, f"v:{e.target.id}"),))

    def _formatted(self, e: ast.FormattedValue) -> Operand:
        return self.expression(e.value)

    def _awaited(self, e: ast.Await) -> Operand:
        return self.expression(e.value)


def constant(value: object) -> str:
    """A literal as an operation: equal numbers are one (``1``, ``1.0``), long texts are cut to a digest."""
    if isinstance(value, bool) or value is None or value is Ellipsis:
        return f"k:{value}"
    if isinstance(value, int | float):
        try:
            number = int(value) if value == int(value) and abs(value) < 1 << 53 else value
        except (OverflowError, ValueError):
            number = value
        return f"n:{number:#x}" if isinstance(number, int) and number.bit_length() > 64 else f"n:{number}"
    text = value if isinstance(value, str) else repr(value)
    if len(text) > _LONGEST_TEXT:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        text = f"{text[:_LONGEST_TEXT]}#{digest}"
    return f"s:{text}"


_HANDLERS: dict[type[ast.AST], Callable[..., Operand]] = {
    ast.Name: Expressions._name,
    ast.Constant: Expressions._constant,
    ast.Attribute: Expressions._attribute,
    ast.Call: Expressions._call,
    ast.Compare: Expressions._compare,
    ast.BinOp: Expressions._binary,
    ast.BoolOp: Expressions._boolean,
    ast.UnaryOp: Expressions._unary,
    ast.Subscript: Expressions._subscript,
    ast.Slice: Expressions._slice,
    ast.IfExp: Expressions._conditional,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.DictComp: Expressions._comprehension,
    ast.Lambda: Expressions._lambda,
    ast.NamedExpr: Expressions._named,
    ast.FormattedValue: Expressions._formatted,
    ast.Await: Expressions._awaited,
}
