"""Statements, read symbolically. A branch whose condition is unknown is read both ways, and what it builds
is optional."""

from __future__ import annotations

import ast
from enum import Enum, auto

from apograph.release.static_model.arithmetic import arithmetic
from apograph.release.static_model.evaluate import Evaluator, Frame, bind, either, items_of, truth
from apograph.release.static_model.source import imports_of
from apograph.release.static_model.values import (
    UNKNOWN,
    Config,
    Function,
    Net,
    Outside,
    Tensor,
    Value,
)


class Flow(Enum):
    """How a block of statements ended."""

    NEXT = auto()
    LOOP = auto()
    """continue"""
    BREAK = auto()
    STOP = auto()
    """return or raise"""


class Statements(Evaluator):
    """Runs the statements of constructors on symbolic values."""

    unsure = 0
    """How many undecided branches surround the current statement."""

    def block(self, body: list[ast.stmt], frame: Frame) -> Flow:
        """Read statements until one leaves the block."""
        for statement in body:
            flow = self.statement(statement, frame)
            if flow is not Flow.NEXT:
                return flow
        return Flow.NEXT

    def statement(self, node: ast.stmt, frame: Frame) -> Flow:
        """Read one statement."""
        if isinstance(node, ast.If):
            return self._if(node, frame)
        if isinstance(node, ast.For | ast.AsyncFor):
            return self._for(node, frame)
        if isinstance(node, ast.Return):
            frame.returned.append(self.value(node.value, frame) if node.value else None)
            return Flow.STOP
        simple = {ast.Raise: Flow.STOP, ast.Break: Flow.BREAK, ast.Continue: Flow.LOOP}.get(type(node))
        if simple is not None:
            return simple
        if isinstance(node, ast.Try):
            flow = self.block([*node.body, *node.orelse], frame)
            last = self.block(node.finalbody, frame)
            return flow if last is Flow.NEXT else last
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                self.value(item.context_expr, frame)
                if item.optional_vars is not None:
                    self.assign(item.optional_vars, UNKNOWN, frame)
            return self.block(node.body, frame)
        if isinstance(node, ast.While):
            self._undecided([node.body, node.orelse], frame)
        else:
            self._plain(node, frame)
        return Flow.NEXT

    def _plain(self, node: ast.stmt, frame: Frame) -> None:
        if isinstance(node, ast.Assign):
            value = self.value(node.value, frame)
            for target in node.targets:
                self.assign(target, value, frame)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign(node.target, self.value(node.value, frame), frame)
        elif isinstance(node, ast.AugAssign):
            target = node.target
            loaded = ast.copy_location(
                ast.Name(target.id, ast.Load()) if isinstance(target, ast.Name) else _as_load(target), target
            )
            self.assign(
                target, arithmetic(node.op, self.value(loaded, frame), self.value(node.value, frame)), frame
            )
        elif isinstance(node, ast.Expr):
            self.value(node.value, frame)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                self._delete(target, frame)
        elif isinstance(node, ast.FunctionDef):
            frame.values[node.name] = Function(frame.source, node, frame.owner)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name, entry in imports_of(node, False):
                symbol = self.project.target(frame.source, entry)
                frame.values[name] = self._symbol(symbol, name, frame.source)
        elif isinstance(node, ast.Match):
            self._undecided([case.body for case in node.cases], frame)

    def _if(self, node: ast.If, frame: Frame) -> Flow:
        known = truth(self.value(node.test, frame))
        if known is None:
            return self._undecided([node.body, node.orelse], frame)
        return self.block(node.body if known else node.orelse, frame)

    def _undecided(self, branches: list[list[ast.stmt]], frame: Frame) -> Flow:
        """Read each branch from the same start and keep what they agree on."""
        self.unsure += 1
        start, ends, flows = frame.values, [], []
        for branch in branches:
            frame.values = dict(start)
            flows.append(self.block(branch, frame))
            if flows[-1] is Flow.NEXT:
                ends.append(frame.values)
        self.unsure -= 1
        frame.values = ends[0] if ends else start
        for other in ends[1:]:
            names = frame.values.keys() | other.keys()
            frame.values = {n: either(frame.values.get(n, UNKNOWN), other.get(n, UNKNOWN)) for n in names}
        return flows[0] if len(set(flows)) == 1 else Flow.NEXT

    def _for(self, node: ast.For | ast.AsyncFor, frame: Frame) -> Flow:
        items = items_of(self.value(node.iter, frame))
        if items is None:
            self.assign(node.target, UNKNOWN, frame)
            self._undecided([node.body, []], frame)
            return Flow.NEXT
        for item in items:
            if not bind(node.target, item, frame):
                self.assign(node.target, UNKNOWN, frame)
            flow = self.block(node.body, frame)
            if flow is Flow.BREAK:
                return Flow.NEXT
            if flow is Flow.STOP:
                return flow
        return self.block(node.orelse, frame)

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """``target = value``."""
        if isinstance(target, ast.Name):
            frame.values[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            known = isinstance(value, list | tuple) and len(value) == len(target.elts)
            for index, part in enumerate(target.elts):
                part = part.value if isinstance(part, ast.Starred) else part
                self.assign(part, value[index] if known else UNKNOWN, frame)
        elif isinstance(target, ast.Attribute):
            self.store(self.value(target.value, frame), target.attr, value)
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, frame), self.value(target.slice, frame)
            if isinstance(owner, Net):
                if isinstance(key, str | int):
                    self.store(owner, str(key), value)
                else:
                    owner.open = True
            elif isinstance(owner, dict) and isinstance(key, str | int):
                owner[key] = UNKNOWN if self.unsure else value

    def store(self, owner: Value, name: str, value: Value) -> None:
        """``owner.name = value``, as ``torch.nn.Module`` registers it."""
        if isinstance(owner, Config):
            owner.data[name] = either(owner.data.get(name, UNKNOWN), value) if self.unsure else value
        if not isinstance(owner, Net):
            return
        before = owner.children.pop(name, None)
        had = before is not None or name in owner.parameters
        if not self.unsure:
            owner.parameters.pop(name, None)
            owner.optional.discard(name)
        owner.attributes.pop(name, None)
        if self.unsure:
            owner.optional.add(name)
        if isinstance(value, Net):
            replaced = self.unsure and had
            owner.children[name] = (
                Net("?", open=True, cuts=value.cuts, place=value.place) if replaced else value
            )
        elif isinstance(value, Tensor) and value.parameter:
            owner.parameters[name] = value.shape
            if self.unsure and before is not None:
                owner.children[name] = Net("?", open=True)
        elif value is UNKNOWN or (self.unsure and had):
            owner.children[name] = Net("?", open=True)
            owner.attributes[name] = UNKNOWN
        else:
            owner.attributes[name] = value

    def _delete(self, target: ast.expr, frame: Frame) -> None:
        if isinstance(target, ast.Name):
            frame.values.pop(target.id, None)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, frame)
            if isinstance(owner, Net):
                if self.unsure:
                    owner.optional.add(target.attr)
                else:
                    owner.children.pop(target.attr, None)
                    owner.parameters.pop(target.attr, None)
        elif isinstance(target, ast.Subscript):
            owner = self.value(target.value, frame)
            if isinstance(owner, Net):
                owner.cuts = (*owner.cuts, f"del [{ast.unparse(target.slice)}]")
                index = None if isinstance(target.slice, ast.Slice) else self.value(target.slice, frame)
                keys = list(owner.children)
                known = isinstance(index, int) and not self.unsure and -len(keys) <= index < len(keys)
                if not isinstance(index, int) or not known or owner.open:
                    owner.open = True
                    return
                kept = [owner.children[k] for k in keys if k != keys[index]]
                owner.children = {str(i): child for i, child in enumerate(kept)}


def _as_load(target: ast.Attribute | ast.Subscript) -> ast.expr:
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    return ast.Subscript(target.value, target.slice, ast.Load())


def outside(value: Value) -> str:
    """The full name of something outside the release, else ""."""
    return value.dotted if isinstance(value, Outside) else ""
