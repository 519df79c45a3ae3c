"""One Python file of a release as syntax: parsed within bounds, never imported."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

LARGEST_SOURCE = 1 << 20
"""Bytes of text; the largest modeling file of the transformers package is a quarter of this."""
MOST_LINES = 50_000
MOST_NODES = 400_000
DEEPEST = 200
"""Levels of nesting. A chain of 100 ``elif`` is 100 deep; hand-written code stays far below."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Unreadable(ValueError):  # noqa: N818 - a state, as findings.Refusal
    """A source that was not parsed. ``args``: "syntax", "large" or "deep", and the line (0 if unknown)."""


@dataclass(frozen=True, slots=True)
class Import:
    """``from module import name``, or ``import module`` when ``name`` is None; ``level`` counts leading dots.

    ``guarded``: inside ``try`` or an ``if``, where failing is foreseen. ``local``: inside a function.
    """

    module: str
    name: str | None
    level: int
    line: int
    guarded: bool = False
    local: bool = False


@dataclass(slots=True)
class Source:
    """A parsed file and what its top level binds."""

    path: str
    tree: ast.Module
    functions: dict[str, FunctionNode] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    assigned: dict[str, ast.expr] = field(default_factory=dict)
    imported: dict[str, Import] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    nodes: list[ast.AST] = field(default_factory=list)
    """Every node of the tree, parents first."""
    dynamic: bool = False
    """The file may bind names that are not written down (``globals()``, ``exec``)."""

    @property
    def folder(self) -> str:
        """The folder of the file, "" for the release's own."""
        return self.path.rpartition("/")[0]


def parse(path: str, text: str) -> Source:
    """Raises :class:`Unreadable` for what is not Python, too large or nested too deeply."""
    if len(text) > LARGEST_SOURCE or text.count("\n") > MOST_LINES:
        raise Unreadable("large", 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        raise Unreadable("syntax", error.lineno or 0) from None
    except (ValueError, RecursionError, MemoryError):
        raise Unreadable("deep", 0) from None
    source = Source(path, tree, nodes=_bounded_nodes(tree))
    source.dynamic = any(
        isinstance(n, ast.Call) and getattr(n.func, "id", "") in {"globals", "exec", "__import__"}
        for n in source.nodes
    )
    _read_top_level(source)
    return source


def _bounded_nodes(tree: ast.Module) -> list[ast.AST]:
    level: list[ast.AST] = [tree]
    nodes: list[ast.AST] = []
    depth = 0
    while level:
        nodes += level
        depth += 1
        if len(nodes) > MOST_NODES:
            raise Unreadable("large", 0)
        if depth > DEEPEST:
            raise Unreadable("deep", getattr(level[0], "lineno", 0))
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return nodes


def _read_top_level(source: Source) -> None:
    for statement, guarded in _top_statements(source.tree.body, False):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            source.functions[statement.name] = statement
            source.bound.add(statement.name)
        elif isinstance(statement, ast.ClassDef):
            source.classes[statement.name] = statement
            source.bound.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for local_name, entry in imports_of(statement, guarded):
                if entry.name == "*":
                    source.stars.append(entry)
                else:
                    source.imported[local_name] = entry
                    source.bound.add(local_name)
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    source.assigned[target.id] = statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value
        ):
            source.assigned[statement.target.id] = statement.value
    source.bound |= _names_bound_by_expressions(source.tree.body)
    source.imports = list(_all_imports(source.tree.body, False, False))


def _top_statements(body: list[ast.stmt], guarded: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """The statements that run at import, those inside ``if``, ``try``, ``with`` and loops included."""
    for statement in body:
        yield statement, guarded
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner_guarded = guarded or isinstance(statement, ast.Try | ast.If)
            for block in blocks_of(statement):
                yield from _top_statements(block, inner_guarded)


def blocks_of(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The lists of statements directly inside a compound statement."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if isinstance(block, list) and block:
            yield block
    for part in [*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]:
        yield part.body


def imports_of(statement: ast.stmt, guarded: bool, local: bool = False) -> Iterator[tuple[str, Import]]:
    """The names that an import statement binds."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            module = alias.name if alias.asname else alias.name.split(".")[0]
            bound = alias.asname or module
            yield bound, Import(module, None, 0, statement.lineno, guarded, local)
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            entry = Import(
                statement.module or "", alias.name, statement.level, statement.lineno, guarded, local
            )
            yield alias.asname or alias.name, entry


def _all_imports(body: list[ast.stmt], guarded: bool, local: bool) -> Iterator[Import]:
    for statement in body:
        for _, entry in imports_of(statement, guarded, local):
            yield entry
        inside = local or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        for block in blocks_of(statement):
            yield from _all_imports(block, guarded or isinstance(statement, ast.Try | ast.If), inside)


def _names_bound_by_expressions(body: list[ast.stmt]) -> set[str]:
    """Names stored at the top level (assignments, loop variables, ``with ... as``, ``except ... as``) and
    those that a function declares ``global``."""
    names: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            names.update(n for d in ast.walk(node) if isinstance(d, ast.Global) for n in d.names)
            stack += [n for n in ast.walk(node) if isinstance(n, ast.NamedExpr)]
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        stack += ast.iter_child_nodes(node)
    return names
