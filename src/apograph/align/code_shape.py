"""The bare tree of a unit: operations, operands and names, given which attributes are an author's own.

An attribute that is stored or defined anywhere in the sources compared is the author's own, on both sides:
its name becomes an operand like a variable's. Any other attribute belongs to a library and stays part of the
operation, and ``x.max()`` is the same call as ``torch.max(x)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from functools import cache

from apograph.release.code import Module, Unit, unpack

_MASK = (1 << 64) - 1
_PRIME = 0x9E3779B97F4A7C15
_NAME = 0x5BD1E995
_PASSING = frozenset(("either", "=", "default"))
FREE = frozenset(("=", "block", "def", "module", "class", "nested", "name", "default", "comp", "kw"))
"""Operations that only hold others together: they weigh nothing."""


@cache
def text_key(op: str) -> int:
    """64 bits for an operation, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(op.encode("utf-8", "surrogatepass"), digest_size=8).digest())


@dataclass(slots=True, eq=False)
class Shape:
    """Parallel lists, operands before what uses them. ``kids`` are operands as written, -1 for a name;
    ``flow`` the same with variables followed to the operation whose value they hold (-1: unknown);
    ``names`` the author's own names by operand (None: an operation), with their kind (``v:``, ``a:``)."""

    ops: list[str]
    lines: list[int]
    kids: list[tuple[int, ...]]
    flow: list[tuple[int, ...]]
    names: list[tuple[str | None, ...]]
    targets: list[tuple[str, ...]]
    size: list[int]

    def labels(self) -> list[int]:
        """One operation by itself: what it does, and to how many operands."""
        return [text_key(op) * 31 + len(k) for op, k in zip(self.ops, self.kids, strict=True)]

    def full(self, labels: list[int]) -> list[int]:
        """A hash of each whole subtree without its names, the same on every machine."""
        full: list[int] = []
        for label, children, stored in zip(labels, self.kids, self.targets, strict=True):
            h = (label * 3 + len(stored)) & _MASK
            for k in children:
                h = ((h ^ (full[k] if k >= 0 else _NAME)) * _PRIME) & _MASK
                h ^= h >> 29
            full.append(h)
        return full


_Slot = tuple[int, int, str | None]
"""An operand: node or -1, the node whose value it is (-1: unknown), and its name if it is one."""


class Shaper:
    """Makes the trees of one module's units; ``own`` are the attributes that count as the author's own."""

    def __init__(self, module: Module, own: Set[str]) -> None:
        self._strings = module.strings
        self._ops: list[str] = []
        self._own: list[str | None] = []
        for text in module.strings:
            head, _, attribute = text.partition(".")
            if not attribute or head not in ("", "self", "call"):
                head = attribute = ""
            hidden = bool(attribute) and attribute in own
            visible = f"call:{attribute}" if head == "call" else text
            self._ops.append((head or ".") if hidden else visible)
            self._own.append(f"a:{attribute}" if hidden else None)

    def shape(self, unit: Unit) -> Shape:
        """The tree of a unit."""
        nodes, strings = unpack(unit), self._strings
        built = Shape([], [], [], [], [], [], [])
        ops, lines, kids, flow, names, targets, size = (
            built.ops, built.lines, built.kids, built.flow, built.names, built.targets, built.size
        )  # fmt: skip
        stands: list[_Slot] = []
        through: list[int] = []
        rows = zip(nodes.ops, nodes.lines, nodes.operands, nodes.targets, strict=True)
        for number, line, operands, stored in rows:
            op, own = self._ops[number], self._own[number]
            if own is not None and op == "self":
                stands.append((-1, -1, own))
                continue
            slots = [
                stands[a] if a >= 0 else (-1, stands[d][1] if d >= 0 else -1, strings[-1 - a])
                for a, d in operands
            ]
            if own is not None:
                slots.insert(0, (-1, -1, own))
            if op == "call":
                slots = [_bare(s, built) for s in slots]
            elif op[:5] == "call:":
                slots.sort(key=lambda s: ops[s[0]] if s[0] >= 0 and ops[s[0]][:3] == "kw:" else "")
            here = len(ops)
            below = tuple([s[0] for s in slots])
            ops.append(op)
            lines.append(line)
            kids.append(below)
            names.append(tuple([s[2] for s in slots]))
            flow.append(tuple([through[s[1]] if s[1] >= 0 else -1 for s in slots]))
            targets.append(tuple([strings[t] for t in stored]) if stored else ())
            size.append(1 + sum([size[k] for k in below if k >= 0]))
            passed = op in _PASSING and below and below[-1] >= 0
            through.append(through[below[-1]] if passed else here)
            stands.append((here, here, None))
        return built


def _bare(slot: _Slot, built: Shape) -> _Slot:
    """An argument without its keyword: which word a function of the author's own uses is free."""
    node = slot[0]
    if node < 0 or built.ops[node][:3] != "kw:":
        return slot
    built.ops[node] = "kw"  # stays in the lists, belongs to nothing and weighs nothing
    inner = built.kids[node][0]
    return inner, inner if inner >= 0 else built.flow[node][0], built.names[node][0]
