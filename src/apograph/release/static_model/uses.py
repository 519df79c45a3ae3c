"""What code does with its parts: attention on itself or on something else, activations, fixed query counts,
special tokens, layers taken away, modules never built. Each is read from syntax, with its line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

from apograph.release.static_model.members import dotted_name, is_module
from apograph.release.static_model.project import Project
from apograph.release.static_model.source import FunctionNode, Source

QUERY_NAMES = frozenset({
    "query_num", "num_query", "num_queries", "n_queries", "num_query_tokens", "num_query_token",
    "num_learnable_queries", "num_latents", "n_latents", "image_feature_size", "image_seq_len",
    "image_seq_length", "num_image_tokens", "mm_num_queries", "resampler_n_latents",
})  # fmt: skip
"""Names under which code and configurations give the number of learned queries, that is of image tokens."""
_TOKEN = re.compile(r"<\|[a-zA-Z0-9_]{2,40}\|>|</?[a-z][a-z0-9_]{1,30}>")
_MARKUP_TEXT = """
b i p br div span code pre ul ol li td tr th table tbody thead html body head h1 h2 h3 em strong sub sup title
script style font center label path lambda module string stdin file name url key value class type
"""
_MARKUP = frozenset(f"<{slash}{w}>" for w in _MARKUP_TEXT.split() for slash in ("", "/"))
"""What stands in angle brackets in ordinary texts: markup, and placeholders of messages."""
_ACTIVATIONS = frozenset(
    [
        "gelu",
        "silu",
        "relu",
        "tanh",
        "mish",
        "swish",
        "quickgelu",
        "quick_gelu",
        "gelu_tanh",
        "relu6",
        "leakyrelu",
    ]
)
Row = dict[str, Any]


def cuts(sources: Iterable[Source]) -> list[Row]:
    """Statements that shorten a list of layers: ``x.layers = x.layers[:-1]``, ``del x.layers[-1]``,
    ``x.layers.pop(...)``. ``switch`` is the configuration switch in whose ``if`` the statement stands."""
    rows: list[Row] = []
    for source in sources:
        for function in source.nodes:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                rows += _cuts_in(source, function, function.body, "")
    return rows


def _cuts_in(source: Source, function: FunctionNode, body: list[ast.stmt], switch: str) -> Iterator[Row]:
    for node in body:
        found: tuple[ast.expr, str] | None = None
        if (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Attribute)
        ):
            target, value = node.targets[0], node.value
            if isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
                value = value.args[0]  # nn.ModuleList(x.layers[:-1])
            same = isinstance(value, ast.Subscript) and ast.unparse(value.value) == ast.unparse(target)
            if same and isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice):
                found = target, ast.unparse(value.slice)
        elif isinstance(node, ast.Delete):
            last = node.targets[0]
            if isinstance(last, ast.Subscript) and isinstance(last.value, ast.Attribute):
                found = last.value, f"del [{ast.unparse(last.slice)}]"
        if found is not None:
            path = ast.unparse(found[0]).split(".")[1:]
            if path and re.fullmatch(
                r"layers?|blocks?|resblocks|h|encoder_layers|transformer_layers", path[-1]
            ):
                yield {
                    "path": source.path, "line": node.lineno, "end": node.end_lineno or node.lineno,
                    "function": function.name, "layers": ".".join(path), "slice": found[1], "switch": switch,
                }  # fmt: skip
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and not isinstance(node, ast.FunctionDef | ast.ClassDef):
                test = ast.unparse(node.test) if isinstance(node, ast.If) else ""
                condition = test if name == "body" else f"not ({test})" if test else ""
                yield from _cuts_in(source, function, inner, condition or switch)


def query_literals(project: Project, sources: Iterable[Source]) -> list[Row]:
    """Calls of the release's own functions and classes with a literal number as the number of queries."""
    rows: list[Row] = []
    for source in sources:
        for node in source.nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            symbol = project.resolve(source, node.func.id)
            target = symbol.node if symbol else None
            if isinstance(target, ast.ClassDef):
                inits = [s for s in target.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
                names = [a.arg for a in inits[0].args.args[1:]] if inits else []
            elif isinstance(target, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [a.arg for a in target.args.args]
            else:
                continue
            given = [*zip(names, node.args, strict=False), *((k.arg or "", k.value) for k in node.keywords)]
            for name, value in given:
                if name in QUERY_NAMES and isinstance(value, ast.Constant) and type(value.value) is int:
                    rows.append({
                        "path": source.path, "line": node.lineno, "name": name, "value": value.value,
                        "callee": node.func.id,
                    })  # fmt: skip
    return rows


def query_defaults(sources: Iterable[Source]) -> list[Row]:
    """Numbers of queries that configuration classes set: as defaults of parameters or by assignment."""
    rows: list[Row] = []
    for source in sources:
        for cls in source.classes.values():
            if not cls.name.endswith("Config"):
                continue
            for node in ast.walk(cls):
                if isinstance(node, ast.FunctionDef):
                    names = node.args.args[len(node.args.args) - len(node.args.defaults) :]
                    pairs = [(a.arg, d) for a, d in zip(names, node.args.defaults, strict=True)]
                elif isinstance(node, ast.Assign):
                    pairs = [(getattr(t, "attr", getattr(t, "id", "")), node.value) for t in node.targets]
                else:
                    continue
                for name, value in pairs:
                    if name in QUERY_NAMES and isinstance(value, ast.Constant) and type(value.value) is int:
                        rows.append(
                            {"path": source.path, "line": value.lineno, "name": name, "value": value.value}
                        )
    return rows


def unbuilt(project: Project, sources: list[Source]) -> list[Row]:
    """Modules that another file imports by name and nothing ever calls, extends or passes on."""
    used: set[str] = set()
    imported: dict[str, tuple[str, int]] = {}
    for source in sources:
        for name, entry in source.imported.items():
            symbol = project.resolve(source, name)
            if symbol and symbol.source and isinstance(symbol.node, ast.ClassDef):
                imported |= (
                    {symbol.node.name: (source.path, entry.line)}
                    if is_module(project, symbol.source, symbol.node)
                    else {}
                )
        for node in source.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                symbol = project.resolve(source, node.id)
                used.add(symbol.node.name if symbol and isinstance(symbol.node, ast.ClassDef) else node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
    return [
        {"name": n, "path": p, "line": line} for n, (p, line) in sorted(imported.items()) if n not in used
    ]


def held_functions(project: Project, source: Source, cls: ast.ClassDef) -> list[Row]:
    """``self.x = function``: an attribute holds a function of the release, so that no module is built."""
    rows: list[Row] = []
    for node in ast.walk(cls):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            symbol = project.resolve(source, node.value.id)
            target = node.targets[0]
            if symbol and symbol.kind == "function" and isinstance(target, ast.Attribute):
                rows.append(
                    {
                        "path": source.path,
                        "line": node.lineno,
                        "name": node.value.id,
                        "attribute": target.attr,
                    }
                )
    return rows


def stubs(source: Source, cls: ast.ClassDef) -> list[Row]:
    """Undecorated methods whose whole body is ``pass``, ``...`` or a docstring."""
    rows: list[Row] = []
    for node in cls.body:
        if not isinstance(node, ast.FunctionDef) or node.decorator_list or node.name == "__init__":
            continue
        empty = (ast.Pass, ast.Constant)
        if all(isinstance(s.value if isinstance(s, ast.Expr) else s, empty) for s in node.body):
            rows.append({"path": source.path, "line": node.lineno, "name": f"{cls.name}.{node.name}"})
    return rows


def special_tokens(sources: Iterable[Source]) -> list[Row]:
    """Text constants that are a special token and nothing else (<image>, <|eot_id|>), with their place."""
    rows: dict[str, Row] = {}
    for source in sources:
        documentation = {
            id(n.body[0].value)
            for n in source.nodes
            if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and n.body and isinstance(n.body[0], ast.Expr)
        }  # fmt: skip
        for node in source.nodes:
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in documentation
            ):
                text = node.value.strip()
                if _TOKEN.fullmatch(text) and text not in _MARKUP:
                    rows.setdefault(text, {"token": text, "path": source.path, "line": node.lineno})
    return sorted(rows.values(), key=lambda row: str(row["token"]))


def activations(project: Project, sources: Iterable[Source]) -> list[Row]:
    """Activation functions that a class builds or calls: (class, name, place)."""
    rows: list[Row] = []
    for source in sources:
        for cls in source.classes.values():
            for node in ast.walk(cls):
                if isinstance(node, ast.Call):
                    dotted = dotted_name(project, source, node.func)
                    last = dotted.rpartition(".")[2].lower()
                    if last in _ACTIVATIONS and ("." in dotted or last != "tanh"):
                        rows.append({"cls": cls.name, "name": last, "path": source.path, "line": node.lineno})
    return rows
