"""Reasons why the code of a release cannot run, seen without running it.

A fault is a dictionary: kind, path, line, name, detail and ``when``: "load" (importing or building the model
fails), "call" (fails when that line is reached) or "note" (no failure by itself).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from apograph.release.static_model.project import Project, Symbol
from apograph.release.static_model.scopes import undefined_names
from apograph.release.static_model.source import FunctionNode, Import, Source

Fault = dict[str, str | int]


def fault(kind: str, path: str, line: int, name: str, when: str, detail: str = "") -> Fault:
    """One fault as plain data."""
    return {"kind": kind, "path": path, "line": line, "name": name, "when": when, "detail": detail}


def faults_of(
    project: Project, sources: Iterable[Source], texts: Mapping[str, str], remote: bool
) -> list[Fault]:
    """All faults of these files. ``remote``: their configuration's ``auto_map`` loads them as a package, so a
    neighbour imported by an absolute name is not found."""
    found: list[Fault] = []
    for source in sources:
        for entry in source.imports:
            found += _import_faults(project, source, entry, remote)
        for name, line, at_import in undefined_names(source, project, texts[source.path]):
            found.append(fault("undefined_name", source.path, line, name, "load" if at_import else "call"))
        found += _call_faults(project, source)
        found += _self_faults(project, source)
    return found


def _import_faults(project: Project, source: Source, entry: Import, remote: bool) -> Iterator[Fault]:
    if entry.guarded or (entry.name is None and entry.level):
        return
    when = "call" if entry.local else "load"
    module, required = project.module(source, entry)
    if entry.level == 0:
        if remote and "." not in entry.module and project.source_of(module):
            yield fault("absolute_sibling", source.path, entry.line, entry.module, when)
        return
    if required and not project.exists(module):
        below = f"{module}/{entry.name}" if not entry.module else ""
        if not below or not project.exists(below):
            yield fault("missing_module", source.path, entry.line, "." * entry.level + entry.module, when)
        return
    other = project.source_of(module)
    if other is None:
        if (
            not entry.module
            and required
            and entry.name
            and not project.exists(f"{module}/{entry.name}".lstrip("/"))
        ):
            yield fault("missing_module", source.path, entry.line, f".{entry.name}", when)
        return
    if entry.name in (None, "*") or other.bound & {entry.name, "__getattr__"} or other.stars or other.dynamic:
        return
    if project.exists(f"{module}/{entry.name}"):
        return
    yield fault("missing_import", source.path, entry.line, str(entry.name), when, other.path)


def _call_faults(project: Project, source: Source) -> Iterator[Fault]:
    """Calls of the release's own functions with arguments that these do not accept, and published models of
    the transformers package built without the configuration that every one of them requires."""
    for scope in source.nodes:
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        calls = [n for n in _own_nodes(scope) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        hidden = _locals(scope) if calls and not isinstance(scope, ast.Module) else set()
        for node in calls:
            if not isinstance(node.func, ast.Name) or node.func.id in hidden:
                continue
            symbol = project.resolve(source, node.func.id)
            if symbol is None:
                continue
            if symbol.kind == "function":
                reason = _refused(symbol, node)
                if reason:
                    yield fault("refused_arguments", source.path, node.lineno, node.func.id, "call", reason)
            elif _needs_config(symbol) and not node.args and not node.keywords:
                yield fault("no_configuration", source.path, node.lineno, node.func.id, "call")


def _needs_config(symbol: Symbol) -> bool:
    last = symbol.dotted.rpartition(".")[2]
    return (
        symbol.kind == "external"
        and symbol.dotted.startswith("transformers.")
        and not last.startswith(("Auto", "TF", "Flax"))
        and last.endswith(("Model", "Transformer", "ForCausalLM", "ForConditionalGeneration", "Encoder"))
    )


def _refused(symbol: Symbol, call: ast.Call) -> str:
    """Why a function does not accept these arguments; empty when it does or when it cannot be told."""
    node = symbol.node
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    if node.decorator_list or any(isinstance(a, ast.Starred) for a in call.args):
        return ""
    if any(k.arg is None for k in call.keywords):
        return ""
    spec = node.args
    positional = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    if not spec.vararg and len(call.args) > len(positional):
        return f"{len(call.args)} > {len(positional)}"
    accepted = {*(a.arg for a in spec.args), *(a.arg for a in spec.kwonlyargs)}
    if not spec.kwarg:
        for keyword in call.keywords:
            if keyword.arg not in accepted:
                return f"{keyword.arg}="
    given = set(positional[: len(call.args)]) | {k.arg for k in call.keywords}
    required = positional[: len(positional) - len(spec.defaults)]
    required += [a.arg for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is None]
    lacking = [name for name in required if name not in given]
    return f"{lacking[0]} = ?" if lacking else ""


def _locals(function: FunctionNode) -> set[str]:
    spec = function.args
    names = {a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)}
    names |= {a.arg for a in (spec.vararg, spec.kwarg) if a}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node is not function:
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.Lambda):
            names |= {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
    return names


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the functions inside it (which are scopes of their own)."""
    stack = list(ast.iter_child_nodes(scope))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            stack += ast.iter_child_nodes(node)


def _self_faults(project: Project, source: Source) -> Iterator[Fault]:
    from apograph.release.static_model.members import unknown_members

    for node in source.classes.values():
        for name, line in unknown_members(project, source, node):
            yield fault("unknown_member", source.path, line, f"{node.name}.{name}", "call")
