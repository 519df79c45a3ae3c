"""Names that a file uses and nothing binds: Python would raise NameError when it gets there."""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator

from apograph.release.static_model.project import Project
from apograph.release.static_model.source import Source

KNOWN = frozenset(dir(builtins)) | {
    "__file__", "__name__", "__doc__", "__spec__", "__loader__", "__package__", "__path__", "__builtins__",
    "__class__", "__module__", "__qualname__", "__annotations__", "WindowsError", "__debug__",
}  # fmt: skip


def undefined_names(source: Source, project: Project, text: str) -> list[tuple[str, int, bool]]:
    """(name, line of its first use, whether it is used while the file is being imported), sorted by line.

    Empty when a star import from outside the release, or writing into ``globals()``, makes it undecidable.
    A use inside ``try`` with handlers is foreseen and not counted, nor is one in a script's own part
    (``if __name__ == "__main__"``) or an annotation that is never evaluated.
    """
    known = set(source.bound)
    for star in source.stars:
        module, _ = project.module(source, star)
        other = project.source_of(module)
        if other is None or other.stars:
            return []
        known |= other.bound
    if source.dynamic:
        return []
    suspects = _unbound_globals(text) - known - KNOWN
    if not suspects:
        return []
    first: dict[str, tuple[int, bool]] = {}
    for name, line, at_import in _uses(source.tree):
        if name in suspects and (name not in first or (at_import, -line) > (first[name][1], -first[name][0])):
            first[name] = (line, at_import)
    return sorted(((n, line, now) for n, (line, now) in first.items()), key=lambda use: (use[1], use[0]))


def _unbound_globals(text: str) -> set[str]:
    """Names that some scope reads as a global, by the compiler's own symbol table (no code is made)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = [symtable.symtable(text, "source", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    while tables:
        table = tables.pop()
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or (top and not symbol.is_assigned())):
                names.add(symbol.get_name())
        tables += table.get_children()
    return names


def is_script_guard(node: ast.stmt) -> bool:
    """``if __name__ == "__main__":``, which never runs in a module that is imported."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in {
        "__name__ == '__main__'",
        "'__main__' == __name__",
    }


def _uses(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Every evaluated reading of a name: (name, line, at import time)."""
    lazy_annotations = any(
        isinstance(s, ast.ImportFrom)
        and s.module == "__future__"
        and any(a.name == "annotations" for a in s.names)
        for s in tree.body
    )
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                yield node.id, node.lineno, not inside
            continue
        skipped: set[int] = set()
        foreseen = isinstance(node, ast.Try) and node.handlers
        if isinstance(node, ast.Try | ast.If) and (foreseen or is_script_guard(node)):
            skipped = {id(s) for s in node.body}
        if isinstance(node, ast.AnnAssign) and (lazy_annotations or inside):
            skipped.add(id(node.annotation))
        if lazy_annotations and isinstance(node, ast.arg) and node.annotation:
            skipped.add(id(node.annotation))
        body: set[int] = set()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = {id(s) for s in node.body}
            if lazy_annotations and node.returns:
                skipped.add(id(node.returns))
        elif isinstance(node, ast.Lambda):
            body = {id(node.body)}
        for child in ast.iter_child_nodes(node):
            if id(child) not in skipped:
                stack.append((child, inside or id(child) in body))
