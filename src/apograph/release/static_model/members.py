"""The classes of a release: their ancestors, what they define, and what they read from ``self`` in vain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from apograph.release.static_model.project import Project
from apograph.release.static_model.source import Source

_MODULE_MEMBERS_TEXT = """
add_module apply bfloat16 buffers children compile cpu cuda double dump_patches eval extra_repr float
forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
named_buffers named_children named_modules named_parameters parameters register_backward_hook
register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook
requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
zero_grad call_super_init
"""
MODULE_MEMBERS = frozenset(_MODULE_MEMBERS_TEXT.split())
"""Public members of ``torch.nn.Module``. Private ones (a leading underscore) are never judged."""
_MODULE_ENDS = ("PreTrainedModel", "ForCausalLM", "Model", "Module", "Layer", "Attention")
DEEPEST_ANCESTRY = 30


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A class of the release with its file, or (``node`` None) the full name of one outside."""

    source: Source | None
    node: ast.ClassDef | None
    dotted: str = ""


def dotted_name(project: Project, source: Source, expression: ast.expr) -> str:
    """The full name of an expression such as ``nn.Linear`` ("" if it is not one): ``torch.nn.Linear``."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return ""
    symbol = project.resolve(source, expression.id)
    first = symbol.dotted if symbol and symbol.kind == "external" else expression.id
    return ".".join([first, *reversed(parts)])


def ancestry(project: Project, source: Source, node: ast.ClassDef) -> list[Ancestor]:
    """The class itself and everything it inherits from, each once, the nearest first."""
    known: list[Ancestor] | None = project.ancestries.get(id(node))
    if known is None:
        known = project.ancestries[id(node)] = _ancestry(project, source, node)
    return known


def _ancestry(project: Project, source: Source, node: ast.ClassDef) -> list[Ancestor]:
    line: list[Ancestor] = []
    queue: list[tuple[Source, ast.ClassDef, int]] = [(source, node, 0)]
    seen: set[int] = set()
    while queue:
        here, cls, depth = queue.pop(0)
        if id(cls) in seen:
            continue
        seen.add(id(cls))
        line.append(Ancestor(here, cls))
        for base in cls.bases:
            base = base.value if isinstance(base, ast.Subscript) else base  # Generic[T]
            symbol = project.resolve(here, base.id) if isinstance(base, ast.Name) else None
            if symbol and symbol.kind == "class" and isinstance(symbol.node, ast.ClassDef) and symbol.source:
                if depth < DEEPEST_ANCESTRY:
                    queue.append((symbol.source, symbol.node, depth + 1))
            else:
                line.append(Ancestor(None, None, dotted_name(project, here, base) or "?"))
    return line


def is_module(project: Project, source: Source, node: ast.ClassDef) -> bool:
    """Whether a class descends from ``torch.nn.Module`` or a model of the transformers package, or from
    something unknown and has a ``forward``."""
    line = ancestry(project, source, node)
    outside = [a.dotted for a in line if a.node is None and a.dotted not in {"object", "abc.ABC"}]
    if any(n.startswith("torch.nn") or n.endswith(_MODULE_ENDS) for n in outside):
        return True
    return bool(outside) and any(
        isinstance(s, ast.FunctionDef) and s.name == "forward" for a in line if a.node for s in a.node.body
    )


def has_method(project: Project, source: Source, node: ast.ClassDef, name: str) -> bool | None:
    """Whether a class defines or inherits a method; None when an unknown ancestor may have it."""
    line = ancestry(project, source, node)
    for ancestor in line:
        if ancestor.node is not None and any(
            isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef) and s.name == name
            for s in ancestor.node.body
        ):
            return True
    plain = ("PreTrainedModel", "torch.nn.Module", "GenerationMixin", "object", "abc.ABC")
    if all(a.node is not None or a.dotted.endswith(plain) for a in line):
        return False
    return None


def unknown_members(project: Project, source: Source, node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """(name, line) of each public attribute that is read from ``self`` though nothing can have set it.

    Only classes are judged whose every ancestor is in the release or is ``torch.nn.Module`` or ``object``,
    that no other class extends, and that set no attribute under a computed name.
    """
    line = ancestry(project, source, node)
    outside = [a.dotted for a in line if a.node is None]
    if any(name not in {"torch.nn.Module", "torch.nn.modules.module.Module", "object"} for name in outside):
        return
    if node.name.endswith("Mixin") or node.decorator_list or node.keywords or node.name in project.extended:
        return
    known = set(project.stored_attributes)
    if any("Module" in name for name in outside):
        known |= MODULE_MEMBERS
    for ancestor in line:
        if ancestor.node is not None:
            names = _members(ancestor.node)
            if names is None:
                return
            known |= names
    seen: set[str] = set()
    for name, number in _reads(node):
        if name not in known and not name.startswith("_") and name not in seen:
            seen.add(name)
            yield name, number


def _members(node: ast.ClassDef) -> set[str] | None:
    """Names that a class body or ``self.x = ...`` sets; None when some are set under computed names."""
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(part.name)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).split(".")[0] for a in part.names}
            if "*" in names:
                return None
        elif isinstance(part, ast.Call):
            called = getattr(part.func, "attr", "") or getattr(part.func, "id", "")
            if called in {
                "setattr",
                "register_buffer",
                "register_parameter",
                "add_module",
                "register_module",
            }:
                index = 1 if called == "setattr" else 0
                key = part.args[index] if len(part.args) > index else None
                if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                    return None
                names.add(key.value)
        elif isinstance(part, ast.Attribute) and part.attr == "__dict__":
            return None
    return None if names & {"__getattr__", "__getattribute__", "__slots__"} else names


def _reads(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    for method in node.body:
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) or not method.args.args:
            continue
        if any(getattr(d, "id", "") in {"staticmethod", "classmethod"} for d in method.decorator_list):
            continue
        me = method.args.args[0].arg
        probed = any(
            isinstance(part, ast.Call) and getattr(part.func, "id", "") in {"hasattr", "getattr"}
            for part in ast.walk(method)
        )
        if probed:
            continue
        for part in ast.walk(method):
            if (
                isinstance(part, ast.Attribute)
                and isinstance(part.ctx, ast.Load)
                and isinstance(part.value, ast.Name)
                and part.value.id == me
            ):
                yield part.attr, part.lineno
