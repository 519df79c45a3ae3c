"""What can still be read of a source that Python 3 does not parse (Python 2, a stub, a syntax error).

tree-sitter's error-tolerant grammar says where the errors are; the smallest statement around each is
replaced by ``pass``, line numbers kept. Where that is not enough, whole definitions are replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from tree_sitter import Language, Node, Parser

Gap: TypeAlias = tuple[int, int]
"""First and last line, 1-based, of what was replaced."""
_MAX_DEPTH = 60
_MAX_NODES = 200_000
_COMPOUND = frozenset(
    (
        "module",
        "block",
        "function_definition",
        "class_definition",
        "decorated_definition",
        "if_statement",
        "elif_clause",
        "else_clause",
        "for_statement",
        "while_statement",
        "with_statement",
        "try_statement",
        "except_clause",
        "finally_clause",
    )
)
_OLD = frozenset(("print_statement", "exec_statement"))


def repaired(text: str) -> Iterator[tuple[str, list[Gap]]]:
    """Ever coarser repairs of ``text`` with the lines that each gave up."""
    import tree_sitter_python

    root = Parser(Language(tree_sitter_python.language())).parse(text.encode("utf-8")).root_node
    for depth in (_MAX_DEPTH, 6, 4, 2, 0):
        gaps = _merge(_broken(root, depth))
        if gaps:
            yield _without(text, gaps), gaps


def _broken(root: Node, depth: int) -> list[Gap]:
    """The smallest damaged statements, at most ``depth`` levels below the top."""
    found: list[Gap] = []
    waiting = [(root, 0)]
    seen = 0
    while waiting and seen < _MAX_NODES:
        node, level = waiting.pop()
        for child in node.named_children:
            seen += 1
            damaged = child.has_error or child.is_error or child.is_missing
            old = child.type in _OLD
            if child.type in _COMPOUND and level < depth and not child.is_error:
                if damaged or depth == _MAX_DEPTH:
                    waiting.append((child, level + 1))
            elif damaged or old or (level >= depth and _holds_old(child)):
                found.append((child.start_point[0] + 1, child.end_point[0] + 1))
    return found


def _holds_old(node: Node) -> bool:
    waiting = [node]
    seen = 0
    while waiting and seen < _MAX_NODES:
        seen += 1
        node = waiting.pop()
        if node.type in _OLD:
            return True
        if node.type in _COMPOUND:
            waiting.extend(node.named_children)
    return False


def _merge(gaps: list[Gap]) -> list[Gap]:
    merged: list[Gap] = []
    for first, last in sorted(gaps):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _without(text: str, gaps: list[Gap]) -> str:
    lines = text.split("\n")
    for first, last in gaps:
        start = lines[first - 1]
        lines[first - 1] = start[: len(start) - len(start.lstrip())] + "pass"
        lines[first:last] = [""] * (last - first)
    return "\n".join(lines)
