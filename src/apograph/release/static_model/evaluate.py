"""Expressions, read symbolically: names, attributes, arithmetic, subscripts, comprehensions, calls.

Whatever is not understood is UNKNOWN; nothing is guessed and nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from apograph.release.static_model.arithmetic import arithmetic, compare
from apograph.release.static_model.project import Project, Symbol
from apograph.release.static_model.source import Source
from apograph.release.static_model.values import (
    UNKNOWN,
    Bound,
    Class,
    Config,
    Function,
    Method,
    Net,
    Outside,
    Super,
    Tensor,
    Value,
)

MOST_STEPS = 400_000
MOST_ITEMS = 2_000
"""Longest loop that is unrolled."""


class Exhausted(Exception):  # noqa: N818 - a state, handled by the reader
    """The budget of steps is used up."""


class Frame:
    """The names of one running function: its file, its local values, its class."""

    def __init__(
        self, source: Source, values: dict[str, Value] | None = None, owner: Class | None = None
    ) -> None:
        self.source = source
        self.values = values if values is not None else {}
        self.owner = owner
        self.me: Value = UNKNOWN
        self.returned: list[Value] = []


class Evaluator:
    """Evaluates expressions; calls and methods of classes are added by ``execute.Reader``."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.steps = 0
        self._globals: dict[tuple[str, str], Value] = {}

    def call(self, node: ast.Call, frame: Frame) -> Value:
        """The value of a call."""
        raise NotImplementedError

    def member_of_object(self, owner: Value, name: str) -> Value:
        """An attribute of a module or configuration whose class the release defines."""
        raise NotImplementedError

    def value(self, node: ast.expr | None, frame: Frame) -> Value:
        """The value of an expression."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Exhausted
        method: Callable[[Any, Frame], Value] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        return method(node, frame) if method else UNKNOWN

    def _constant(self, node: ast.Constant, frame: Frame) -> Value:
        return node.value if isinstance(node.value, bool | int | float | str | type(None)) else UNKNOWN

    def _name(self, node: ast.Name, frame: Frame) -> Value:
        if node.id in frame.values:
            return frame.values[node.id]
        return self.global_value(frame.source, node.id)

    def global_value(self, source: Source, name: str) -> Value:
        """What a name means at the top level of a file."""
        key = (source.path, name)
        if key not in self._globals:
            self._globals[key] = UNKNOWN  # while it is being found, so that a circle ends
            self._globals[key] = self._symbol(self.project.resolve(source, name), name, source)
        return self._globals[key]

    def _symbol(self, symbol: Symbol | None, name: str, source: Source) -> Value:
        if symbol is None:
            return UNKNOWN if source.stars or name in source.bound else Outside(name)
        if symbol.kind in {"external", "module"}:
            return Outside(symbol.dotted) if symbol.kind == "external" else symbol.source
        assert symbol.source is not None
        if isinstance(symbol.node, ast.ClassDef):
            return Class(symbol.source, symbol.node)
        if isinstance(symbol.node, ast.FunctionDef | ast.AsyncFunctionDef):
            return Function(symbol.source, symbol.node)
        return self.value(symbol.node, Frame(symbol.source))

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        return self.attribute(self.value(node.value, frame), node.attr)

    def attribute(self, owner: Value, name: str) -> Value:
        """``owner.name``."""
        if isinstance(owner, Outside):
            return Outside(f"{owner.dotted}.{name}")
        if isinstance(owner, Source):
            return self.global_value(owner, name)
        if isinstance(owner, Net | Config | Super | Class):
            return self.member_of_object(owner, name)
        if isinstance(owner, dict) and name in owner:
            return owner[name]  # a nested configuration, which its class would make an object
        if isinstance(owner, Tensor | str | list | dict | tuple):
            return Method(owner, name)
        return UNKNOWN

    def _tuple(self, node: ast.Tuple, frame: Frame) -> Value:
        return tuple(self.items(node.elts, frame))

    def _list(self, node: ast.List, frame: Frame) -> Value:
        return self.items(node.elts, frame)

    def items(self, nodes: list[ast.expr], frame: Frame) -> list[Value]:
        """The values of a list of expressions, ``*starred`` ones spread; an unknown spread is one UNKNOWN."""
        values: list[Value] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value, frame)
                values += inner if isinstance(inner, list | tuple) else [UNKNOWN]
            else:
                values.append(self.value(node, frame))
        return values

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        result: dict[Any, Value] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.value(item, frame)
            if key is None:
                if not isinstance(value, dict):
                    return UNKNOWN
                result |= value
                continue
            name = self.value(key, frame)
            if not isinstance(name, str | int):
                return UNKNOWN
            result[name] = value
        return result

    def _binop(self, node: ast.BinOp, frame: Frame) -> Value:
        return arithmetic(node.op, self.value(node.left, frame), self.value(node.right, frame))

    def _unaryop(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self.value(node.operand, frame)
        if isinstance(node.op, ast.Not):
            known = truth(value)
            return UNKNOWN if known is None else not known
        if isinstance(node.op, ast.USub) and isinstance(value, int | float):
            return -value
        return value if isinstance(node.op, ast.UAdd) else UNKNOWN

    def _boolop(self, node: ast.BoolOp, frame: Frame) -> Value:
        stops_at = isinstance(node.op, ast.Or)
        value: Value = UNKNOWN
        for part in node.values:
            value = self.value(part, frame)
            known = truth(value)
            if known is None:
                rest = [truth(self.value(p, frame)) for p in node.values]
                return stops_at if stops_at in rest else UNKNOWN
            if known is stops_at:
                return value
        return value

    def _compare(self, node: ast.Compare, frame: Frame) -> Value:
        left = self.value(node.left, frame)
        for operation, other in zip(node.ops, node.comparators, strict=True):
            right = self.value(other, frame)
            maybe = any(isinstance(side, Net) and side.maybe for side in (left, right))
            answer = UNKNOWN if maybe else compare(operation, left, right)
            if answer is UNKNOWN or not answer:
                return answer
            left = right
        return True

    def _ifexp(self, node: ast.IfExp, frame: Frame) -> Value:
        known = truth(self.value(node.test, frame))
        if known is not None:
            return self.value(node.body if known else node.orelse, frame)
        first, second = self.value(node.body, frame), self.value(node.orelse, frame)
        return either(first, second)

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        owner = self.value(node.value, frame)
        if isinstance(node.slice, ast.Slice):
            bounds = [
                self.value(b, frame) if b else None
                for b in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            return cut(owner, bounds, ast.unparse(node.slice))
        index = self.value(node.slice, frame)
        if isinstance(owner, Net):
            key = index
            if owner.sequence and isinstance(index, int) and index < 0 and not owner.open:
                key = len(owner.children) + index
            return owner.children.get(str(key), UNKNOWN)
        if isinstance(owner, list | tuple | dict | str) and isinstance(index, int | str):
            try:
                return owner[index]  # type: ignore[index]
            except (LookupError, TypeError):
                return UNKNOWN
        return UNKNOWN

    def _lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        return Function(frame.source, node, frame.owner)

    def _joinedstr(self, node: ast.JoinedStr, frame: Frame) -> Value:
        parts: list[str] = []
        for piece in node.values:
            value = self.value(piece.value if isinstance(piece, ast.FormattedValue) else piece, frame)
            if not isinstance(value, str | int) or (
                isinstance(piece, ast.FormattedValue) and piece.format_spec
            ):
                return UNKNOWN
            parts.append(str(value))
        return "".join(parts)

    def _namedexpr(self, node: ast.NamedExpr, frame: Frame) -> Value:
        frame.values[node.target.id] = value = self.value(node.value, frame)
        return value

    def _call(self, node: ast.Call, frame: Frame) -> Value:
        return self.call(node, frame)

    def _listcomp(self, node: ast.ListComp, frame: Frame) -> Value:
        return self._collect(node, [node.elt], frame)

    def _generatorexp(self, node: ast.GeneratorExp, frame: Frame) -> Value:
        return self._collect(node, [node.elt], frame)

    def _dictcomp(self, node: ast.DictComp, frame: Frame) -> Value:
        pairs = self._collect(node, [node.key, node.value], frame)
        if pairs is UNKNOWN or not all(isinstance(k, str | int) for k, _ in pairs):
            return UNKNOWN
        return dict(pairs)

    def _collect(
        self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp, wanted: list[ast.expr], frame: Frame
    ) -> Value:
        inner = Frame(frame.source, dict(frame.values), frame.owner)
        inner.me = frame.me
        result: list[Value] = []

        def loop(depth: int) -> bool:
            if depth == len(node.generators):
                values = [self.value(w, inner) for w in wanted]
                result.append(values[0] if len(values) == 1 else tuple(values))
                return len(result) <= MOST_ITEMS
            part = node.generators[depth]
            for item in items_of(self.value(part.iter, inner)) or [UNKNOWN]:
                if item is UNKNOWN or not bind(part.target, item, inner):
                    return False
                tests = [truth(self.value(test, inner)) for test in part.ifs]
                if None in tests or (all(tests) and not loop(depth + 1)):
                    return False
            return True

        first = items_of(self.value(node.generators[0].iter, frame))
        if first == []:
            return []
        return result if first and loop(0) else UNKNOWN


def truth(value: Value) -> bool | None:
    """Whether a value counts as true; None when that is unknown."""
    if isinstance(value, bool | int | float | str | list | tuple | dict | type(None)):
        return bool(value)
    if isinstance(value, Net):
        return None if value.maybe or value.sequence else True
    if isinstance(value, Config | Class | Function | Bound):
        return True
    return None


def either(first: Value, second: Value) -> Value:
    """What is known of a value that is one of two."""
    if (
        type(first) is type(second)
        and isinstance(first, bool | int | float | str | type(None))
        and first == second
    ):
        return first
    return first if first is second else UNKNOWN


def items_of(value: Value) -> list[Value] | None:
    """The items of something that is looped over, None when unknown or too long."""
    if isinstance(value, Net) and value.sequence and not value.open:
        return list(value.children.values())
    if isinstance(value, dict):
        value = list(value)
    return list(value) if isinstance(value, list | tuple | range) and len(value) <= MOST_ITEMS else None


def bind(target: ast.expr, value: Value, frame: Frame) -> bool:
    """Bind a loop variable; False when the target is not a plain name or tuple of names."""
    if isinstance(target, ast.Name):
        frame.values[target.id] = value
        return True
    if (
        isinstance(target, ast.Tuple | ast.List)
        and isinstance(value, list | tuple)
        and len(value) == len(target.elts)
    ):
        return all(bind(t, v, frame) for t, v in zip(target.elts, value, strict=True))
    return False


def cut(owner: Value, bounds: list[Value], text: str) -> Value:
    """``owner[start:stop:step]``; of a module the slice is remembered."""
    known = all(b is None or (isinstance(b, int) and not isinstance(b, bool)) for b in bounds)
    if isinstance(owner, list | tuple | str) and known:
        return owner[slice(*bounds)] if bounds[2] != 0 else UNKNOWN
    if not isinstance(owner, Net):
        return UNKNOWN
    part = Net(owner.kind, open=owner.open or not known, sequence=True, place=owner.place)
    part.cuts = (*owner.cuts, text)
    if not part.open and bounds[2] != 0:
        for child in list(owner.children.values())[slice(*bounds)]:
            part.append(child)
    return part


def walk(net: Net, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Net]]:
    """Every module below (and with) ``net``, with the prefix of its tensors. Circles end after 60 levels."""
    yield prefix, net
    if depth < 60:
        for name, child in net.children.items():
            yield from walk(child, f"{prefix}{name}.", depth + 1)
